--TEST--
Signals, limits and broken connections end or interrupt a consumer, and cost no task anything
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskMessage, TaskProducer, TaskResult};

$node = RabbitNode::start();
$dsn = $node->dsn('heartbeat=1');
$log = temp_dir() . '/log';
$note = fn (string $line) => file_put_contents($log, "$line\n", FILE_APPEND | LOCK_EX);
$noted = fn () => is_file($log) ? file($log, FILE_IGNORE_NEW_LINES) : [];
$forget = fn () => @unlink($log);
$queues = ['task.high', 'task.normal', 'task.low'];
$empty = fn () => array_sum(array_map(fn ($queue) => $node->ready($queue), $queues)) === 0;
$batch = fn (int $count, int $retries = 3, string $type = 't') => array_map(fn () => new TaskMessage($type, [], random_int(1, 10), $retries), range(1, $count));

$producer = new TaskProducer($dsn);

// Signals: PHP's own handler, asynchronous or not, and none at all. A task that runs is finished first.
foreach (['async' => 'pcntl_async_signals(true); pcntl_signal(SIGTERM, fn () => $consumer->stop());', 'dispatched' => 'pcntl_signal(SIGTERM, fn () => $consumer->stop());', 'none' => ''] as $how => $code) {
    $child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . '; $consumer = consumer(' . var_export($dsn, true) . ', function ($task) {
        echo "begun\n";
        $end = microtime(true) + 0.4;
        while (microtime(true) < $end);
        echo "ended\n";
        return Ferry\Task\TaskResult::success();
    }, ["stop_when_empty" => false]); ' . $code . ' $consumer->on("starting", fn () => 0); echo "ready\n"; $consumer->consumeAll(); echo "left ", var_export($consumer->isRunning(), true), "\n";');
    $child->says('ready');
    $producer->publish(new TaskMessage('slow', []));
    $child->says('begun');
    $child->signal(SIGTERM);
    same("$how: exit code", 0, $child->wait());
    check("$how: the task was finished", str_contains($child->out(), "ended\n[Task] Success") && str_contains($child->out(), 'left false'), $child->out() . $child->err());
}
// An idle one leaves within its slice.
$child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . '; $consumer = consumer(' . var_export($dsn, true) . ', fn () => null, ["stop_when_empty" => false]); pcntl_signal(SIGTERM, fn () => $consumer->stop()); $consumer->on("stopping", fn () => print("stopping\n")); pcntl_signal(SIGUSR1, fn () => print("up\n")); posix_kill(getmypid(), SIGUSR1); $consumer->consumeAll();');
$child->says('up');
$begin = clock();
$child->signal(SIGTERM);
same('idle: exit code', 0, $child->wait());
check('idle: at once', clock() - $begin < 1.5, clock() - $begin);
check('idle: event', str_contains($child->out(), 'stopping'), $child->out());

// Busy for longer than the heartbeat allows, and a connection that breaks.
$forget();
$producer->publish(new TaskMessage('busy', []));
lines(fn () => consumer($dsn, function () use ($note) {
    $end = microtime(true) + 4;
    while (microtime(true) < $end);
    $note('done');
    return TaskResult::success();
})->consumeAll());
same('a busy handler keeps its task', ['done'], $noted());
same('once', true, $empty());
$child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . '; consumer(' . var_export($dsn, true) . ', fn ($task) => Ferry\Task\TaskResult::success(), ["stop_when_empty" => false, "max_tasks" => 2])->consumeAll();');
$producer->publish(new TaskMessage('before', []));
$child->says('Success');
$node->cutConnections();
$producer->publish(new TaskMessage('after', []));
same('it goes on', 0, $child->wait());
check('it says so', str_contains($child->err(), 'trying again') && substr_count($child->out(), 'Success') === 2, $child->out() . $child->err());

// A broker that is short of memory takes nothing: the task stays where it is, and ends once when the broker takes it.
$producer->publishBatch([$task = new TaskMessage('fails', [], 9, 1), new TaskMessage('ok', [], 5, 1)]);
$node->ctl('set_vm_memory_high_watermark', 'absolute', '1');
$child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . '; consumer(' . var_export($node->dsn('read_write_timeout=1'), true) . ', fn ($task) => $task->taskType === "ok" ? Ferry\\Task\\TaskResult::success() : Ferry\\Task\\TaskResult::failure("no"), ["stop_when_empty" => false, "max_tasks" => 2])->consumeAll();');
wait_until(fn () => str_contains($child->err(), 'trying again'), 'the broker refuses');
$node->ctl('set_vm_memory_high_watermark', '0.8');
same('blocked: it goes on', 0, $child->wait());
same('blocked: both ended', [1, 1, 0], [substr_count($child->out(), '[Task] Failed'), substr_count($child->out(), '[Task] Success'), substr_count($child->out(), 'Retry')]);
check('blocked: it says why', str_contains($child->err(), 'blocks publishers'), $child->err() . $child->out());
// The confirm of the first try is lost, so it may be stored, and the next one too.
same('blocked: its dead letter', [$task->taskId], array_values(array_unique(array_map(fn ($letter) => json_decode($letter[0], true)['original_task']['task_id'], $node->take('task.dlq')))));

// Recycling: it leaves after so many tasks, and what it held costs nobody anything.
$forget();
$producer->publishBatch($batch(25, 1));
for ($i = 0; $i < 5; $i++) {
    consumer($dsn, function (TaskMessage $task) use ($note) {
        $note($task->taskId);
        return TaskResult::success();
    }, ['log' => false, 'max_tasks' => 5])->consumeAll();
}
same('five times five', 25, count(array_unique($noted())));
$forget();
$large = consumer($dsn, fn () => TaskResult::success(), ['log' => false, 'memory' => 1]);
$producer->publish(new TaskMessage('t', []));
$large->consumeAll();
same('memory', 1, array_sum(array_map(fn ($queue) => $node->ready($queue), $queues)));
done();
?>
--EXPECT--
ok
