--TEST--
Forked consumers share the work, and a task that kills its workers ends alone
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskMessage, TaskProducer, TaskResult};

$node = RabbitNode::shared();
$dsn = $node->dsn('heartbeat=1');
$log = temp_dir() . '/log';
$note = fn (string $line) => file_put_contents($log, "$line\n", FILE_APPEND | LOCK_EX);
$noted = fn () => is_file($log) ? file($log, FILE_IGNORE_NEW_LINES) : [];
$forget = fn () => @unlink($log);
$queues = ['task.high', 'task.normal', 'task.low'];
$empty = fn () => array_sum(array_map(fn ($queue) => $node->ready($queue), $queues)) === 0;
$batch = fn (int $count, int $retries = 3, string $type = 't') => array_map(fn () => new TaskMessage($type, [], random_int(1, 10), $retries), range(1, $count));

// The parent uses the connection, then forks five; afterwards it uses it again.
$producer = new TaskProducer($dsn);
$tasks = $batch(200);
$producer->publishBatch($tasks);
$consumer = consumer($dsn, function (TaskMessage $task) use ($note) {
    $note(getmypid() . " {$task->taskId}");
    return TaskResult::success();
}, ['log' => false, 'prefetch_count' => 3]);
same('the parent takes one', true, $consumer->process());
$children = [];
for ($i = 0; $i < 5; $i++) {
    $children[] = fork(function () use ($consumer, $producer) {
        $consumer->consumeAll();
        return $producer->publish(new TaskMessage('from a child', [])) ? 0 : 1;
    });
}
foreach ($children as $pid) {
    same('a child ends well', 0, reap($pid));
}
$producer->publish(new TaskMessage('from the parent', []));
$consumer->consumeAll();
$ran = array_count_values(array_map(fn ($line) => explode(' ', $line)[1], $noted()));
same('each ran once', [1], array_values(array_unique($ran)));
same('all ran', 206, count($ran));
same('none is left', 0, $node->ready('task.dlq'));
check('several shared', count(array_unique(array_map('intval', $noted()))) >= 3);

// One that kills its workers, among neighbours that have one try.
$forget();
$neighbours = $batch(8, 1);
$killer = new TaskMessage('killer', [], 5, 2);
$producer->publishBatch([$neighbours[0], $killer, ...array_slice($neighbours, 1)]);
$deaths = 0;
wait_until(function () use ($dsn, $note, &$deaths, $empty) {
    $code = reap(fork(function () use ($dsn, $note) {
        consumer($dsn, function (TaskMessage $task) use ($note) {
            $note($task->taskId);
            $task->taskType === 'killer' && posix_kill(getmypid(), SIGKILL);
            return TaskResult::success();
        }, ['log' => false])->consumeAll();
        return 0;
    }));
    $deaths += $code === 128 + SIGKILL ? 1 : 0;
    return $code === 0 && $empty();
}, 'the killer is gone', 40);
same('deaths', 3, $deaths);
$ran = array_count_values($noted());
same('the killer ran', 3, $ran[$killer->taskId]);
foreach ($neighbours as $neighbour) {
    same('a neighbour ran once', 1, $ran[$neighbour->taskId] ?? 0);
}
$letters = $node->take('task.dlq');
same('one dead letter', 1, count($letters));
$letter = json_decode($letters[0][0], true);
same('the killer', $killer->taskId, $letter['original_task']['task_id']);
holds('why', 'died before it was settled', $letter['error']['message']);

// exit() and fatal errors in a handler: the execution failed and is settled before the process ends.
foreach (['exit' => ['exit(0);', 13], 'fatal' => ['str_repeat("x", 1 << 40);', 255]] as $how => [$code, $expected]) {
    $producer->publishBatch([$task = new TaskMessage($how, [], 5, 1), $other = new TaskMessage('other', [], 5, 1)]);
    $child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . '; consumer(' . var_export($dsn, true) . ', function ($task) { if ($task->taskType !== "other") { ' . $code . ' } return Ferry\Task\TaskResult::success(); })->consumeAll();', ['-d', 'memory_limit=64M']);
    check("$how: the process ends", in_array($child->wait(), [$expected, 255], true), $child->wait());
    same("$how: one dead letter", 1, count($letters = $node->take('task.dlq')));
    same("$how: of that task", $task->taskId, json_decode($letters[0][0], true)['original_task']['task_id']);
    $forget();
    $consumer->consumeAll();
    same("$how: the other one was not touched", [getmypid() . " {$other->taskId}"], $noted());
}

// A handler that forks: the child owns nothing.
$forget();
$producer->publish(new TaskMessage('forks', []));
$parent = getmypid();
$forking = consumer($dsn, function (TaskMessage $task) use ($note) {
    $pid = pcntl_fork();
    if ($pid === 0) {
        return TaskResult::failure('I am the child');
    }
    pcntl_waitpid($pid, $status);
    $note('parent ' . pcntl_wexitstatus($status));
    return TaskResult::success();
}, ['log' => false, 'max_tasks' => 1]);
$forking->consumeAll();
if (getmypid() !== $parent) {
    // The child left consumeAll() at once; it may work on a connection of its own.
    exit((new TaskProducer($dsn))->publish(new TaskMessage('t', [])) ? 7 : 1);
}
same('the child left', ['parent 7'], $noted());
$consumer->consumeAll();
same('nothing failed', 0, $node->ready('task.dlq'));

done();
?>
--EXPECT--
ok
