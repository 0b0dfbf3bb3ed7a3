--TEST--
With track, the status of a task is found by its id: queued, running with progress, retrying, succeeded with a result, failed, expired, and queued again
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';
require_once __DIR__ . '/../support/redis.php';

use Ferry\Status;
use Ferry\Task\{DeadLetters, TaskMessage, TaskProducer, TaskResult};

$node = RabbitNode::shared();
Ferry\Queue::configure(['default' => 'rabbit', 'connections' => [
    'rabbit' => $node->config(['control' => 'flags', 'track' => true]),
    'plain' => $node->config(['connection_timeout' => 7]),
    'flags' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => RedisServer::start()->port],
]]);
$producer = new TaskProducer('rabbit');
$state = fn (TaskMessage $task) => Status::find($task->taskId)?->toArray()['state'] ?? null;

// Queued before it is published, and known to nobody where nobody tracks.
$task = new TaskMessage('mail', ['n' => 1], 9);
same('unknown', null, $state($task));
$producer->publish($task);
same('queued', ['queued', 'mail', 'task.high', 'rabbit'], array_map(fn ($key) => Status::find($task->taskId)->toArray()[$key], ['state', 'job', 'queue', 'connection']));
same('a batch', 2, $producer->publishBatch([$one = new TaskMessage('mail', [], 1), $two = new TaskMessage('mail', [], 1)]));
same('queued too', ['queued', 'queued'], [$state($one), $state($two)]);
$untracked = new TaskMessage('mail', []);
(new TaskProducer('plain'))->publish($untracked);
same('untracked', null, $state($untracked));
$expired = new TaskMessage('mail', [], 5, 3, -1);
thrown(fn () => $producer->publish($expired));
same('nothing was sent', null, $state($expired));

// Progress while it runs, the reason while it waits, the result at the end.
$seen = [];
$work = function (TaskMessage $task) use (&$seen) {
    $task->progress(40, 'on its way');
    // The status of the execution before has the same progress.
    $written = fn (array $status) => $status['state'] === 'running' && $status['progress'] === 40;
    wait_until(fn () => $written(Status::find($task->taskId)->toArray()), 'the progress is written');
    $seen[$task->taskId][] = array_intersect_key(Status::find($task->taskId)->toArray(), ['state' => 1, 'attempts' => 1, 'message' => 1]);
    return $task->currentRetry === 0 && ($task->payload['n'] ?? 0) === 1 ? TaskResult::failure('not yet') : TaskResult::success(['sent' => 3]);
};
consumer('rabbit', $work, ['log' => false])->consumeAll();
$known = Status::find($task->taskId)->toArray();
same('retrying', ['retrying', 'not yet', 1], [$known['state'], $known['error'], $known['attempts']]);
same('the others', ['succeeded', 'succeeded'], [$state($one), $state($two)]);
consume_until(consumer('rabbit', $work, ['log' => false]), fn () => $state($task) === 'succeeded');
$known = Status::find($task->taskId)->toArray();
same('the result', [['sent' => 3], 100, 2], [$known['result'], $known['progress'], $known['attempts']]);
same('seen by its handler', [['state' => 'running', 'message' => 'on its way', 'attempts' => 1], ['state' => 'running', 'message' => 'on its way', 'attempts' => 2]], array_map(fn ($one) => ['state' => $one['state'], 'message' => $one['message'], 'attempts' => $one['attempts']], $seen[$task->taskId]));
$task->progress(50);
same('nothing after its end', 100, Status::find($task->taskId)->toArray()['progress']);

// Failed for good, and published again.
$dead = new TaskMessage('image', ['n' => 2], 5, 1);
$producer->publish($dead);
consumer('rabbit', fn () => throw new RuntimeException('broken picture'), ['log' => false])->consumeAll();
same('failed', ['failed', 'broken picture'], array_map(fn ($key) => Status::find($dead->taskId)->toArray()[$key], ['state', 'error']));
same('requeued', 1, (new DeadLetters('rabbit'))->requeue($dead->taskId));
same('queued again', 'queued', $state($dead));
$logger = new class {
    public array $lines = [];

    public function log($level, $message, array $context = []): void
    {
        $this->lines[] = "$level: $message";
    }
};
consumer('rabbit', fn () => TaskResult::success(NAN), ['log' => $logger, 'log_level' => 'warning'])->consumeAll();
same('a result that is no JSON fails nothing', ['succeeded', null], array_map(fn ($key) => Status::find($dead->taskId)->toArray()[$key], ['state', 'result']));
same('and is reported', ['warning: the result of a task cannot be kept as JSON; its status has none'], $logger->lines);

done();
?>
--EXPECT--
ok
