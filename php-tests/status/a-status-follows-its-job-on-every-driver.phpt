--TEST--
With track a job's status is followed from its push to its end, on every driver and beside one named by control
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Status;

class Steps
{
    public function fire($job, $data)
    {
        $id = $job->getJobId();
        $job->progress(140, 'too far');
        $job->progress('40', 'half');
        wait_until(fn () => ($status = Status::find($id)) && $status->progress === 40, 'the progress is seen');
        $GLOBALS['seen'] = Status::find($id);
        $job->result(['n' => 1.5, 'list' => [1, 'ü']]);
        match ($data) {
            'done' => $job->delete(),
            'later' => $job->release(3600),
            'fail' => $job->fail('asked'),
            'throw' => throw new RuntimeException("boom \xff"),
        };
    }
}

function work(array $options = []): void
{
    (new Ferry\Worker($options + ['log' => 'none', 'stop_when_empty' => true, 'tries' => 1]))->run();
}

$all = iterator_to_array(brokers());
$all['control'] = $all['sqlite'];
foreach ($all as $name => $config) {
    $keeper = $name === 'control' ? ['control' => 'other'] : [];
    Ferry\Queue::configure(['default' => 'broker', 'connections' => ['broker' => $config + $keeper + ['track' => true], 'other' => $all['redis']]]);
    $connection = Ferry\Queue::connection();
    $connection->clear();
    $begun = microtime(true);
    $id = $connection->push('Steps', 'done', 'mail');
    check("$name: an id", is_string($id) && preg_match('/^[A-Za-z]{32}$/', $id) === 1, $id);
    same("$name: the id is in the payload", $id, json_decode($connection->peek('mail')[0], true)['id']);
    $status = Status::find($id);
    same("$name: queued", ['queued', 'Steps', 'mail', 'broker', 0, 0, null, null, null], [$status->state, $status->job, $status->queue, $status->connection, $status->attempts, $status->progress, $status->message, $status->result, $status->error]);
    check("$name: when", abs($status->queuedAt - $begun) < 5 && $status->startedAt === null && $status->finishedAt === null, $status->toArray());
    check("$name: not finished", !$status->isFinished());
    if ($name === 'control') {
        same('kept by the other', 'queued', Ferry\Queue::connection('other')->status($id)->state);
    }

    work(['queue' => 'mail']);
    same("$name: seen while it ran", ['running', 1, 40, 'half', null], [$seen->state, $seen->attempts, $seen->progress, $seen->message, $seen->result]);
    check("$name: read anew", $status->refresh() && $status->isFinished());
    same("$name: succeeded", ['succeeded', 1, 100, ['n' => 1.5, 'list' => [1, 'ü']], null], [$status->state, $status->attempts, $status->progress, $status->result, $status->error]);
    check("$name: times in order", $status->queuedAt <= $status->startedAt && $status->startedAt <= $status->finishedAt && $status->finishedAt === $status->updatedAt, $status->toArray());
    same("$name: as an array", array_combine(['id', 'state', 'job', 'queue', 'connection', 'attempts', 'progress', 'message', 'result', 'error', 'queued_at', 'started_at', 'finished_at', 'updated_at'], [$id, 'succeeded', 'Steps', 'mail', 'broker', 1, 100, 'half', ['n' => 1.5, 'list' => [1, 'ü']], null, $status->queuedAt, $status->startedAt, $status->finishedAt, $status->updatedAt]), $status->toArray());
    holds("$name: only read", 'No setter', thrown(fn () => $status->state = 'x'));

    // Every other end.
    foreach (['later' => 'retrying', 'fail' => 'failed', 'throw' => 'failed'] as $data => $state) {
        $id = $connection->push('Steps', $data);
        work();
        $status = $connection->status($id);
        same("$name: $data", $state, $status->state);
        check("$name: $data, why", $data === 'later' ? $status->error === null : str_contains($status->error, $data === 'fail' ? 'asked' : 'boom'), $status->error);
        check("$name: $data, valid UTF-8 of at most 4 KiB", preg_match('//u', (string) $status->error) === 1 && strlen((string) $status->error) <= 4096);
    }
    // The one that was thrown is retried by an operator.
    same("$name: retried", 1, $connection->retryFailed([$connection->failed()[0]['id']]));
    check("$name: queued again", ($status->refresh() || true) && $status->state === 'queued' && $status->attempts === 0, $status->toArray());
    work();
    $status->refresh();
    same("$name: and failed again", 'failed', $status->state);

    // A deadline that passed before it could start.
    $id = $connection->pushRaw(json_encode(['job' => 'Steps', 'data' => 'done', 'timeoutAt' => 1, 'id' => "raw-$name", 'attempts' => 0]));
    work();
    same("$name: expired", 'expired', $connection->status("raw-$name")->state);

    $ids = $connection->bulk(['Steps', 'Steps'], 'done');
    same("$name: ids of many", ['queued', 'queued'], array_map(fn ($id) => $connection->status($id)->state, $ids));
    same("$name: later", 'queued', $connection->status($connection->later(60, 'Steps', 'done'))->state);
    same("$name: nothing known", [null, null, null], [Status::find('nope'), Status::find(''), Status::find("\xff\0")]);
}
done();
?>
--EXPECT--
ok
