--TEST--
Every recorded publish leaves the same body and properties in the same queue, by publish() and by publishBatch(); deviations are listed
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';
date_default_timezone_set('UTC');

use Ferry\Task\{TaskMessage, TaskProducer};

$cases = array_column(fixture('task-message.json')['cases'], null, 'name');
$listed = array_column(fixture('deviations.json')['deviations'], null, 'case');
$node = RabbitNode::shared();
$producer = new TaskProducer($node->dsn());

// The original declared first: ours must fit on it.
original_topology($node->amqplib());

/** The recorded body as ours must be, its times moved to now. */
function moved(string $body, int $shift): string
{
    return preg_replace_callback('/"(created|expire)_at":(\d+)/', fn ($m) => "\"{$m[1]}_at\":" . ($m[2] + $shift), $body);
}

$replayed = 0;
foreach ($cases as $name => $case) {
    if ($case['operation'] !== 'publish' || isset($listed["tasks/$name"])) {
        continue;
    }
    [$queue] = array_keys($case['queues']);
    $recorded = $case['queues'][$queue][0];
    $now = early_in_a_second();
    $shift = $now - 1700000000;
    $fields = json_decode(moved($recorded['body'], $shift), true);
    // What was given, not what came out: the recorded name says it.
    preg_match('/^publish priority (-?\d+)/', $name, $given);
    $task = new TaskMessage($fields['task_type'], $fields['payload'], priority: (int) ($given[1] ?? $fields['priority']), ttl: $fields['expire_at'] - $fields['created_at']);
    check("$name: the id has the recorded shape", preg_match('/^task_\d{14}_[0-9a-f]{16}$/D', $task->taskId) === 1, $task->taskId);
    same("$name: priority", $fields['priority'], $task->priority);
    foreach (['taskId' => 'task_id', 'createdAt' => 'created_at', 'expireAt' => 'expire_at'] as $property => $key) {
        $task->$property = $fields[$key];
    }
    foreach (['publish' => fn () => $producer->publish($task), 'batch' => fn () => $producer->publishBatch([$task])] as $how => $call) {
        same("$name: $how", $how === 'batch' ? 1 : true, $call());
        if ($queue === 'task.dlq') {
            wait_until(fn () => $node->ready('task.dlq') === 1, 'the broker moved it');
        }
        $found = $node->take($queue);
        same("$name: one message", 1, count($found));
        [$body, $properties, $headers] = $found[0];
        same("$name: body", moved($recorded['body'], $shift), $body);
        $expected = ['timestamp' => $recorded['properties']['timestamp'] + $shift] + $recorded['properties'];
        // The second may turn between our look and the broker's.
        check("$name: timestamp", abs($properties['timestamp'] - $expected['timestamp']) <= 1, $properties['timestamp']);
        $properties['timestamp'] = $expected['timestamp'];
        ksort($expected);
        ksort($properties);
        if (isset($expected['expiration'])) {
            check("$name: expiration", in_array((int) $expected['expiration'] - (int) $properties['expiration'], [0, 1000], true), $properties['expiration']);
            $properties['expiration'] = $expected['expiration'];
        }
        same("$name: properties", $expected, $properties);
        same("$name: headers", array_keys($recorded['headers'] ?? []), array_keys($headers));
    }
    $replayed++;
}
check('publishes were replayed', $replayed >= 15, $replayed);

// Declared again by the original: with 32 bits, with 64.
original_topology($node->amqplib());
original_topology($node->amqplib(), wide: true);

// An array and back.
$before = $cases['fromArray(toArray())']['before'];
same('the round trip', $cases['fromArray(toArray())']['after'], TaskMessage::fromArray($before)->toArray());

// The broker's own expiry.
$task = new TaskMessage('t', [], ttl: 1);
$producer->publish($task);
wait_until(fn () => $node->ready('task.dlq') === 1, 'the broker moved it');
[[$body, $properties, $headers]] = $node->take('task.dlq');
same('raw', $task->taskId, json_decode($body, true)['task_id']);
same('reason', 'expired', $headers['x-first-death-reason']);

// Everything is replayed here or in the test of consumers, or listed.
foreach ($cases as $name => $case) {
    $elsewhere = in_array($case['operation'], ['consume', 'TaskProducer constructor', 'roundtrip', 'publish', 'broker expiry after 1 s'], true) || str_starts_with($name, 'redeclare: same');
    check("`$name` is replayed or listed", $elsewhere || isset($listed["tasks/$name"]), $case['operation']);
}
done();
?>
--EXPECT--
ok
