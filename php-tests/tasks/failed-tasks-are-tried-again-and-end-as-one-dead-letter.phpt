--TEST--
Tasks of php-amqplib that fail in every recorded way run as often as they may, and end as one dead letter each
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskMessage, TaskResult};

$node = RabbitNode::shared();
$channel = $node->amqplib();
original_topology($channel);

$tasks = [
    'success' => ['task_type' => 'ok'],
    'missing metadata key' => ['task_type' => 'ok', 'metadata' => null],
    'handler returns failure, max_retries 3' => ['task_type' => 'fails', 'max_retries' => 3, 'payload' => ['o' => new stdClass(), 'f' => 1.5, 'u' => '张/3']],
    'handler returns failure, max_retries 1' => ['task_type' => 'fails', 'max_retries' => 1],
    'handler returns failure, max_retries 0' => ['task_type' => 'fails', 'max_retries' => 0],
    'handler throws Exception, max_retries 3' => ['task_type' => 'throws', 'max_retries' => 3],
    'handler throws Exception, max_retries 1' => ['task_type' => 'throws', 'max_retries' => 1],
    'unknown task type' => ['task_type' => 'nope', 'max_retries' => 2],
    'handler throws Error' => ['task_type' => 'dies', 'max_retries' => 1],
    'no words' => ['task_type' => 'silent', 'max_retries' => 1],
    'changes its task' => ['task_type' => 'changes', 'max_retries' => 2],
    'expires before the next try' => ['task_type' => 'fails', 'max_retries' => 3, 'expire_at' => time() + 2],
    'expired task reaching the consumer' => ['task_type' => 'ok', 'expire_at' => time() - 5],
];
$ids = [];
foreach ($tasks as $name => $more) {
    $fields = task_fields($more);
    if ($fields['metadata'] === null) {
        unset($fields['metadata']);
    }
    $ids[$name] = $fields['task_id'];
    // An expired one must reach the consumer, so the broker may not know.
    original_publish($channel, $fields, $name === 'expired task reaching the consumer' ? ['expiration' => '60000'] : []);
}
original_publish($channel, task_fields(['task_id' => 'unread', 'task_type' => 'ok']), ['message_id' => 'unread', 'expiration' => '60000']);
$channel->basic_publish(new PhpAmqpLib\Message\AMQPMessage('not json', ['content_type' => 'application/json', 'message_id' => 'bad']), 'task.exchange', 'task.normal');

$runs = [];
$consumer = consumer($node->dsn(), function (TaskMessage $task) use (&$runs) {
    $runs[$task->taskId][] = [microtime(true), $task->currentRetry];
    switch ($task->taskType) {
        case 'fails': return TaskResult::failure('smtp down');
        case 'throws': throw new RuntimeException("boom \xff");
        case 'dies': return strlen(new stdClass());
        case 'silent': return TaskResult::failure(null);
        case 'changes':
            $task->metadata['seen'] = $task->currentRetry;
            $task->priority = 9;
            return TaskResult::failure('changed');
    }
    return TaskResult::success();
}, [], ['ok', 'fails', 'throws', 'dies', 'silent', 'changes']);
$events = [];
foreach (['starting', 'success', 'retry', 'failed', 'error', 'expired', 'poison', 'stopping'] as $event) {
    $consumer->on($event, function (...$with) use (&$events, $event) {
        $events[$event][] = $with;
    });
}
$said = consume_until($consumer, fn () => $node->ready('task.dlq') >= 12);
same('the queues are empty', [0, 0, 0], array_map(fn ($queue) => $node->ready($queue), ['task.high', 'task.normal', 'task.low']));

$letters = $node->take('task.dlq');
$found = [];
foreach ($letters as [$body, $properties, $headers]) {
    $decoded = json_decode($body, true);
    $id = $decoded['original_task']['task_id'] ?? $properties['message_id'];
    check("$id has one dead letter", !isset($found[$id]));
    $found[$id] = [$body, $decoded, $properties, $headers];
}
same('dead letters', 12, count($found));

$times = fn (string $name) => count($runs[$ids[$name]] ?? []);
foreach ([
    'success' => 1, 'missing metadata key' => 1,
    'handler returns failure, max_retries 3' => 3, 'handler returns failure, max_retries 1' => 1, 'handler returns failure, max_retries 0' => 1,
    'handler throws Exception, max_retries 3' => 3, 'handler throws Exception, max_retries 1' => 1,
    'unknown task type' => 0, 'handler throws Error' => 1, 'no words' => 1, 'changes its task' => 2, 'expires before the next try' => 1,
    'expired task reaching the consumer' => 0,
] as $name => $expected) {
    same("$name: executions", $expected, $times($name));
    same("$name: dead", !in_array($name, ['success', 'missing metadata key'], true), isset($found[$ids[$name]]));
}

// The pauses: 2 s, then 4 s, whole seconds of the broker.
$at = $runs[$ids['handler returns failure, max_retries 3']];
same('the counts the handler saw', [0, 1, 2], array_column($at, 1));
check('2 s', $at[1][0] - $at[0][0] > 1.9 && $at[1][0] - $at[0][0] < 4, $at[1][0] - $at[0][0]);
check('4 s', $at[2][0] - $at[1][0] > 3.9 && $at[2][0] - $at[1][0] < 6, $at[2][0] - $at[1][0]);

// The recorded format, its bytes; what the producer wrote is untouched.
[$body, $decoded, $properties, $headers] = $found[$ids['handler returns failure, max_retries 3']];
same('keys', ['original_task', 'error'], array_keys($decoded));
same('keys of the error', ['message', 'trace', 'failed_at'], array_keys($decoded['error']));
same('message', 'smtp down', $decoded['error']['message']);
same('the count', 3, $decoded['original_task']['current_retry']);
holds('untouched bytes', '"payload":{"o":{},"f":1.5,"u":"\u5f20\/3"},"priority":5,"max_retries":3,"current_retry":3,', $body);
same('properties', ['content_type' => 'application/json', 'delivery_mode' => 2], $properties);
same('no headers', [], $headers);
check('failed_at', DateTime::createFromFormat('Y-m-d H:i:s', $decoded['error']['failed_at']) !== false, $decoded['error']['failed_at']);

[, $decoded] = $found[$ids['handler throws Exception, max_retries 3']];
same('bytes that are no UTF-8', "boom \u{fffd}", $decoded['error']['message']);
holds('the trace', '#0 ', $decoded['error']['trace']);
holds('an unknown type', 'no handler is registered for tasks of type `nope`', $found[$ids['unknown task type']][1]['error']['message']);
holds('an Error', 'must be of type string', $found[$ids['handler throws Error']][1]['error']['message']);
same('no words', 'the handler gave no reason', $found[$ids['no words']][1]['error']['message']);
holds('too late', '(it would expire before the next try)', $found[$ids['expires before the next try']][1]['error']['message']);
same('what the handler wrote into its task', [['seen' => 1], 9], [$found[$ids['changes its task']][1]['original_task']['metadata'], $found[$ids['changes its task']][1]['original_task']['priority']]);
[, $decoded, , $headers] = $found[$ids['expired task reaching the consumer']];
same('expired', ['x-ferry-reason' => 'expired'], $headers);
holds('expired', 'the task expired', $decoded['error']['message']);
[$body, , $properties, $headers] = $found['bad'];
same('raw', 'not json', $body);
same('poison', 'poison', $headers['x-ferry-reason']);
holds('why', 'the body is no task', $headers['x-ferry-error']);

// Lines and events.
$id = $ids['handler returns failure, max_retries 3'];
same('lines of a retried task', ["[Task] Starting: $id (fails)", "[Task] Retry 1/3: $id - smtp down", "[Task] Starting: $id (fails)", "[Task] Retry 2/3: $id - smtp down", "[Task] Starting: $id (fails)", "[Task] Failed: $id (smtp down)"],
    array_values(array_filter($said, fn ($line) => str_contains($line, $id))));
check('success', in_array("[Task] Success: {$ids['success']}", $said, true));
check('expired', in_array("[Task] Expired: {$ids['expired task reaching the consumer']}", $said, true));
check('poison', str_contains(implode("\n", $said), '[Task] Error: bad (the body is no task'), $said);
same('retry events', [1, 3, 2, 'smtp down'], array_slice(array_values(array_filter($events['retry'], fn ($e) => $e[0]->taskId === $id))[0], 1));
check('error events carry the exception', $events['error'][0][1] instanceof Throwable);
$unknown = array_values(array_filter($events['error'], fn ($e) => $e[0]->taskId === $ids['unknown task type']));
check('an unknown type fires it too', $unknown !== [] && $unknown[0][1] instanceof Ferry\HandlerNotFoundException);
same('expired event', [$ids['expired task reaching the consumer']], $events['expired'][0]);
check('poison event', $events['poison'][0][0] === 'bad');
check('stopping', count($events['stopping']) >= 1);

// A callback instead of the registry; what it returns counts too.
original_publish($channel, $fields = task_fields(['max_retries' => 1]));
original_publish($channel, $good = task_fields());
$said = lines(fn () => $consumer->consume('task.normal', fn (TaskMessage $task) => $task->taskId === $good['task_id'] ? TaskResult::success() : true));
check('the callback ran', in_array("[Task] Success: {$good['task_id']}", $said, true), $said);
[[$body]] = $node->take('task.dlq');
same('a callback that says nothing of use', 'the handler of `t` returned true, not a Ferry\Task\TaskResult', json_decode($body, true)['error']['message']);

// An exception as the error of a result, as the original has it: message and trace.
original_publish($channel, task_fields(['max_retries' => 1]));
lines(fn () => $consumer->consume('task.normal', fn () => TaskResult::failure(new RuntimeException('as an exception'))));
$error = json_decode($node->take('task.dlq')[0][0], true)['error'];
same('its message', 'as an exception', $error['message']);
holds('its trace', '#0 ', $error['trace']);
done();
?>
--EXPECT--
ok
