--TEST--
SIGTERM reaches a loop over TaskConsumer::process() and every nested worker and consumer; an outer timeout costs the inner task nothing
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Queue;
use Ferry\Task\{TaskMessage, TaskProducer, TaskResult};
use Ferry\Worker;

$node = RabbitNode::start();
$dsn = $node->dsn();
$producer = new TaskProducer($dsn);
$publish = fn (string $type, int $count, int $retries = 3) => $producer->publishBatch(array_map(fn () => new TaskMessage($type, [], 5, $retries), range(1, $count)));
$left = fn (int $count) => wait_until(fn () => $node->ready('task.normal') === $count, "$count tasks are left");
$term = fn () => posix_kill(posix_getpid(), SIGTERM);

/** A job whose handler is a closure. */
class Called
{
    public static Closure $work;
    public static int $ran = 0;
    public function fire($job, $data)
    {
        self::$ran++;
        (self::$work)($job);
        $job->delete();
    }
}
$jobs = new Ferry\Connection(['type' => 'memory']);
$worker = fn (array $options = []) => new Worker($options + ['connection' => $jobs, 'log' => 'none', 'stop_when_empty' => true, 'prefetch' => 1, 'sleep' => 0]);

// During a task, in a loop that PHP code writes.
$ran = 0;
$publish('told', 3);
$consumer = consumer($dsn, function () use (&$ran, $term) {
    $ran++;
    $term();
    return TaskResult::success();
}, ['log' => false]);
while ($consumer->process()) {
}
same('a loop over process() ends after the task', 1, $ran);
$left(2);
same('a run leaves too: the request is answered there', 0, $consumer->consumeAll());
same('and takes nothing', 1, $ran);
$left(2);

// Before and after a nested consumer and a nested worker, which take nothing once the signal came.
$publish('nesting', 2);
$inner = 0;
$outer = consumer($dsn, function () use (&$ran, &$inner, $term, $dsn, $worker, $jobs) {
    $ran++;
    $nested = consumer($dsn, function () use (&$inner) {
        $inner++;
        return TaskResult::success();
    }, ['log' => false]);
    $nested->process();
    $term();
    $nested->process();
    $nested->consumeAll();
    Called::$work = fn () => null;
    $jobs->push('Called');
    $worker()->process();
    return TaskResult::success();
}, ['log' => false, 'prefetch_count' => 1]);
$ran = 0;
same('a consumer with nested ones ends', 0, $outer->consumeAll());
same('after its task; the nested ones took what came before the signal', [1, 1, 0], [$ran, $inner, Called::$ran]);
$left(2);

// A worker whose job runs a consumer.
$jobs->clear();
Called::$work = function () use ($consumer, $term) {
    $term();
    $consumer->process();
};
array_map(fn ($i) => $jobs->push('Called', $i), [1, 2]);
$ran = 0;
same('a worker with a nested consumer ends', 0, $worker()->run());
same('after its job', [1, 0, 1], [Called::$ran, $ran, $jobs->size()]);
$left(2);

// The time of the outer job is over while a nested consumer runs a task.
$jobs->clear();
consumer($dsn, fn () => TaskResult::success(), ['log' => false])->consumeAll();
$left(0);
$publish('slow', 1, 1);
$charged = $failures = [];
$forever = consumer($dsn, function () {
    while (true) {
    }
}, ['log' => false, 'timeout' => 60]);
$tell = function (string $event) use (&$failures) {
    return function () use (&$failures, $event) {
        $failures[] = $event;
    };
};
array_map(fn ($event) => $forever->on($event, $tell($event)), ['timeout', 'retry', 'failed', 'error']);
Called::$work = function () use ($forever) {
    $forever->consumeAll();
    throw new LogicException('the handler goes on');
};
$jobs->push('Called');
$outer = $worker(['timeout' => 1, 'tries' => 1]);
$outer->on('timeout', function ($job) use (&$charged) {
    $charged[] = $job->getName();
});
same('the outer worker continues', 0, $outer->run());
same('the outer job ran too long', [['Called'], ['timeout']], [$charged, array_column($jobs->failed(), 'reason')]);
same('the task did not fail', [], $failures);
$left(1);
$back = null;
consumer($dsn, function (TaskMessage $task) use (&$back) {
    $back = $task->currentRetry;
    return TaskResult::success();
}, ['log' => false])->consumeAll();
same('and its only try is left', 0, $back);
done();
?>
--EXPECT--
ok
