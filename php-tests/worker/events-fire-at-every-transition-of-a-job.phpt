--TEST--
One event fires at each transition of a job, the same on every broker
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;
use Ferry\Worker;

class Job1
{
    public function fire($job, $data)
    {
        match ($data) {
            'nothing' => null,
            'delete' => $job->delete(),
            'release' => $job->release(60),
            'throw' => throw new RuntimeException('boom'),
            'error' => strlen(),
            'delete twice' => $job->delete() ?? $job->delete(),
            'release twice' => $job->release(60) ?? $job->release(120),
            'delete, release' => $job->delete() ?? $job->release(60),
            'release, delete' => $job->release(60) ?? $job->delete(),
            'delete, throw' => $job->delete() ?? throw new RuntimeException('boom'),
            'release, throw' => $job->release(60) ?? throw new RuntimeException('boom'),
            'mark as failed' => $job->markAsFailed(),
            'throw, failed() throws' => throw new RuntimeException('boom'),
        };
    }

    public function failed($data, $e)
    {
        if ($data === 'throw, failed() throws') {
            throw new DomainException('in failed()');
        }
    }
}

// What the handler does, tries => events, and the states ready/delayed/reserved/failed afterwards.
$ways = [
    ['nothing', 1, 'processing processed', '0/0/1/0'],
    ['delete', 1, 'processing processed', '0/0/0/0'],
    ['release', 1, 'processing processed', '0/1/0/0'],
    ['throw', 0, 'processing exception released:5', '0/1/0/0'],
    ['throw', 2, 'processing exception released:5', '0/1/0/0'],
    ['throw', 1, 'processing failed exception', '0/0/0/1'],
    ['error', 0, 'processing exception released:5', '0/1/0/0'],
    ['error', 1, 'processing failed exception', '0/0/0/1'],
    ['delete twice', 1, 'processing processed', '0/0/0/0'],
    ['release twice', 1, 'processing processed', '0/1/0/0'],
    ['delete, release', 1, 'processing processed', '0/0/0/0'],
    ['release, delete', 1, 'processing processed', '0/1/0/0'],
    ['delete, throw', 1, 'processing exception', '0/0/0/0'],
    ['release, throw', 1, 'processing exception', '0/1/0/0'],
    ['mark as failed', 1, 'processing processed', '0/0/1/0'],
    ['throw, failed() throws', 1, 'processing failed', '0/0/0/1'],
];
foreach (brokers() as $name => $config) {
    foreach (['pipelined', 'immediate'] as $settle) {
        foreach ($ways as [$act, $tries, $events, $states]) {
            $connection = use_broker($config);
            $failed_before = Queue::stats()['failed'];
            Queue::push('Job1', $act);
            $seen = [];
            $worker = new Worker(['once' => true, 'tries' => $tries, 'delay' => 5, 'settle' => $settle, 'log' => 'none', 'sleep' => 0]);
            foreach (['processing', 'processed', 'exception', 'failed', 'released', 'lost', 'settle_lost'] as $event) {
                $worker->on($event, function (...$arguments) use (&$seen, $event, $act) {
                    check("$act: $event gets the job", $arguments[0] instanceof Ferry\Job && $arguments[0]->payload('data') === $act);
                    if (in_array($event, ['exception', 'failed'], true)) {
                        check("$act: $event gets the exception", $arguments[1] instanceof Throwable);
                    }
                    $seen[] = $event . ($event === 'released' ? ":$arguments[1]" : '');
                });
            }
            same("$name $settle $act: code", 0, $worker->run());
            same("$name $settle $act, tries $tries: events", $events, implode(' ', $seen));
            $stats = Queue::stats();
            $stats['failed'] -= $failed_before;
            same("$name $settle $act, tries $tries: states", $states, implode('/', $stats));
        }
    }

    // The handler and all listeners of one job see the same object.
    $connection = use_broker($config);
    Queue::push('Job1', 'throw');
    $ids = [];
    $worker = new Worker(['once' => true, 'tries' => 1, 'log' => 'none']);
    foreach (['processing', 'exception', 'failed'] as $event) {
        $worker->on($event, function ($job) use (&$ids) {
            $ids[spl_object_id($job)] = true;
        });
    }
    $worker->run();
    same("$name: one object", 1, count($ids));

    // It is what the option `job` made, once for a job.
    $connection = use_broker($config);
    Queue::push('Job1', 'throw');
    [$ids, $made] = [[], 0];
    $worker = new Worker(['once' => true, 'tries' => 1, 'log' => 'none', 'job' => function (Ferry\Job $job) use (&$made) {
        $made++;
        return new ArrayObject(['inner' => $job]);
    }]);
    foreach (['processing', 'exception', 'failed'] as $event) {
        $worker->on($event, function ($job) use (&$ids) {
            $ids[get_class($job) . spl_object_id($job)] = $job['inner']->payload('data');
        });
    }
    $worker->run();
    same("$name: one object of the option `job`", [1, ['throw'], 1], [count($ids), array_values($ids), $made]);

    // When the option makes nothing, its job fails with that, and the listeners get the Ferry\Job.
    $connection = use_broker($config);
    Queue::push('Job1', 'delete');
    $seen = [];
    $worker = new Worker(['once' => true, 'tries' => 1, 'log' => 'none', 'job' => fn () => throw new LogicException('no job object')]);
    foreach (['processing', 'failed'] as $event) {
        $worker->on($event, function ($job, $e = null) use (&$seen, $event) {
            $seen[] = "$event " . get_class($job) . ($e ? ' ' . $e->getMessage() : '');
        });
    }
    $worker->run();
    same("$name: an option `job` that throws", ['processing Ferry\Job', 'failed Ferry\Job no job object'], $seen);

    // Poison and unknown classes are buried and told, once, whatever the tries.
    foreach (['zzz', '[]', '{}', '{"job":5,"attempts":0}', '{"job":"Job1@nope","data":1,"attempts":0}', '{"job":"Job1","data":"\ud800","attempts":0}'] as $body) {
        $connection = use_broker($config);
        $before = Queue::stats()['failed'];
        Queue::pushRaw($body);
        $seen = [];
        $worker = new Worker(['stop_when_empty' => true, 'log' => 'none']);
        foreach (['processing', 'failed', 'exception', 'processed', 'released'] as $event) {
            $worker->on($event, function () use (&$seen, $event) {
                $seen[] = $event;
            });
        }
        $worker->run();
        same("$name $body: events", 'processing failed exception', implode(' ', $seen));
        same("$name $body: states", [0, 0, 0, $before + 1], array_values(Queue::stats()));
        same("$name $body: the bytes are kept", $body, $connection->failed(limit: 1)[0]['payload']);
    }
}
done();
?>
--EXPECTREGEX--
(\[[^]]+\] ferry: failed\(\) of Job1 threw: DomainException: in failed\(\)[^\n]*\n    Stack trace:\n(    #[^\n]*\n)+){6}ok
