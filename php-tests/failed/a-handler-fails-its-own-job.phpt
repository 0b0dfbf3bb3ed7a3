--TEST--
$job->fail() buries the job with an exception or a text, tells failed() once, and the worker tells the events
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;
use Ferry\Worker;

class Job1
{
    public static array $told = [];

    public function fire($job, $data)
    {
        same("$data: not lost", false, $job->isLost());
        match ($data) {
            'exception' => $job->fail(new DomainException('not for me')),
            'text' => $job->fail('too late'),
            'nothing' => $job->fail(),
            'twice' => $job->fail('first') ?? $job->fail('second'),
            'delete, fail' => $job->delete() ?? $job->fail('never'),
            'fail, delete' => $job->fail('kept') ?? $job->delete() ?? $job->release(),
            'fail, throw' => $job->fail('kept') ?? throw new LogicException('boom'),
            'failed() throws' => $job->fail('kept'),
            'no cause' => $job->fail([]),
        };
        same("$data: deleted", true, $job->isDeleted());
    }

    public function failed($data, $e)
    {
        self::$told[] = get_class($e) . ': ' . $e->getMessage();
        if ($data === 'failed() throws') {
            throw new DomainException('in failed()');
        }
    }
}

// What the handler does => events, what failed() got, the first line of what the store keeps.
$ways = [
    'exception' => ['processing failed:DomainException processed', 'DomainException: not for me', 'DomainException: not for me in '],
    'text' => ['processing failed:RuntimeException processed', 'RuntimeException: too late', 'too late'],
    'nothing' => ['processing failed:RuntimeException processed', 'RuntimeException: Job1 was failed by its handler', 'Job1 was failed by its handler'],
    'twice' => ['processing failed:RuntimeException processed', 'RuntimeException: first', 'first'],
    'delete, fail' => ['processing processed', null, null],
    'fail, delete' => ['processing failed:RuntimeException processed', 'RuntimeException: kept', 'kept'],
    'fail, throw' => ['processing failed:RuntimeException exception:LogicException', 'RuntimeException: kept', 'kept'],
    'failed() throws' => ['processing failed:RuntimeException exception:DomainException', 'RuntimeException: kept', 'kept'],
    'no cause' => ['processing exception:Ferry\\InvalidArgumentException released', null, null],
];
foreach (brokers() as $name => $config) {
    foreach ($ways as $act => [$events, $told, $stored]) {
        $connection = use_broker($config);
        $connection->forgetFailed('all');
        Job1::$told = [];
        Queue::push('Job1', $act);
        $payload = $connection->peek()[0];
        $seen = [];
        $worker = new Worker(['once' => true, 'tries' => 3, 'log' => 'none', 'sleep' => 0]);
        foreach (['processing', 'processed', 'exception', 'failed', 'released'] as $event) {
            $worker->on($event, function ($job, $e = null) use (&$seen, $event) {
                $seen[] = $event . ($e instanceof Throwable ? ':' . get_class($e) : '');
            });
        }
        same("$name $act: code", 0, $worker->run());
        same("$name $act: events", $events, implode(' ', $seen));
        same("$name $act: failed()", $told, implode(' ', Job1::$told) ?: null);
        $failed = $connection->failed();
        same("$name $act: buried", $stored === null ? 0 : 1, count($failed));
        if ($stored !== null) {
            same("$name $act: record", ['asked', 1, $payload], [$failed[0]['reason'], $failed[0]['attempts'], $failed[0]['payload']]);
            check("$name $act: exception", str_starts_with($failed[0]['exception'], $stored), $failed[0]['exception']);
        }
    }

    // A job popped by hand.
    $connection = use_broker($config);
    $connection->forgetFailed('all');
    Job1::$told = [];
    Queue::push('Job1', 'text');
    $job = Queue::pop();
    $job->fail('by hand');
    same("$name: by hand", [['RuntimeException: by hand'], true, true], [Job1::$told, $job->isDeleted(), $job->hasFailed()]);
    same("$name: by hand, kept", 'by hand', $connection->failed()[0]['exception']);
}

// Jobs that fail themselves leave no memory behind, though their exceptions' traces hold the job.
class Leaving
{
    public static array $jobs = [];

    public function fire($job, $data)
    {
        self::$jobs[] = WeakReference::create($job);
        $job->fail(new Exception('with a trace'));
    }
}
use_broker(['type' => 'memory']);
for ($i = 0; $i < 20; $i++) {
    Queue::push('Leaving');
}
gc_disable();
(new Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
same('jobs that were freed', [20, 0], [count(Leaving::$jobs), count(array_filter(Leaving::$jobs, fn ($job) => $job->get() !== null))]);

// A job that is somebody else's, and a failed store that refuses: nothing changes, failed() is not told.
$server = RedisServer::start();
$redis = $server->client();
$connection = use_broker($server->config());
Job1::$told = [];
Queue::push('Job1', 'text');
$job = Queue::pop();
$redis->set('{queues:default}:ferry:failed', 'somebody else\'s');
holds('refused', 'Ferry\\BrokerException', thrown(fn () => $job->fail('by hand')));
same('refused: as it was', [false, false, 1], [$job->isDeleted(), $job->hasFailed(), $redis->zCard('{queues:default}:reserved')]);
$redis->del('{queues:default}:ferry:failed', '{queues:default}:reserved');
same('not known yet', false, $job->isLost());
holds('lost', 'Ferry\\LostReservation', thrown(fn () => $job->fail('by hand')));
same('lost: known, not told, not kept', [true, [], []], [$job->isLost(), Job1::$told, $connection->failed()]);

// On sync the handler's word is kept too: nobody else hears of it.
Queue::configure('sync:');
Job1::$told = [];
Queue::push('Job1', 'text');
same('sync', ['RuntimeException: too late'], Job1::$told);
done();
?>
--EXPECT--
ok
