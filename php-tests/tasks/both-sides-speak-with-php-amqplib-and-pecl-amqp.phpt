--TEST--
Tasks go both ways between Ferry, php-amqplib and the extension amqp; bad bodies are set aside, packed ones are read
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'amqp', 'zlib'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskMessage, TaskProducer, TaskResult};
use PhpAmqpLib\Message\AMQPMessage;

$node = RabbitNode::shared();
$dsn = $node->dsn('max_payload=100000');
$producer = new TaskProducer($dsn, ['gzip' => 2000]);
$seen = [];
$consumer = consumer($dsn, function (TaskMessage $task) use (&$seen) {
    $seen[] = $task->toArray();
    return TaskResult::success();
});

// Ours declares; theirs fit on it, take and publish.
$payload = ['u' => '张三/😀', 'f' => 1.5, 'n' => null, 'list' => [1, [2]], 'empty' => []];
$task = new TaskMessage('email.send', $payload, 9);
$producer->publish($task);
$pecl = $node->pecl();
$queue = new AMQPQueue($pecl);
$queue->setName('task.high');
$envelope = $queue->get(AMQP_AUTOACK);
same('pecl-amqp reads ours', $task->toArray(), json_decode($envelope->getBody(), true));
same('its properties', ['application/json', 2, 9, $task->taskId, ''], [$envelope->getContentType(), $envelope->getDeliveryMode(), $envelope->getPriority(), $envelope->getMessageId(), (string) $envelope->getContentEncoding()]);

$exchange = new AMQPExchange($pecl);
$exchange->setName('task.exchange');
$fields = task_fields(['payload' => $payload, 'priority' => 2]);
$exchange->publish(json_encode($fields), 'task.low', AMQP_NOPARAM, ['content_type' => 'application/json', 'delivery_mode' => 2, 'priority' => 2, 'expiration' => '86400000', 'message_id' => $fields['task_id'], 'timestamp' => time()]);
lines(fn () => $consumer->consumeAll());
same('we read pecl-amqp\'s', [$fields], $seen);

$channel = $node->amqplib();
original_topology($channel);
$seen = [];
original_publish($channel, $fields = task_fields(['payload' => $payload, 'metadata' => ['k' => 'v'], 'current_retry' => 1]));
lines(fn () => $consumer->consumeAll());
same('we read php-amqplib\'s', [$fields], $seen);

// Beside each other: an unmodified consumer retries what we began, and the other way round.
$task = new TaskMessage('t', ['a' => 1], 5, 3);
$producer->publish($task);
$channel->basic_qos(null, 10, null);
$theirs = [];
$channel->basic_consume('task.normal', '', false, false, false, false, function (AMQPMessage $message) use (&$theirs, $channel) {
    $data = json_decode($message->getBody(), true);
    $theirs[] = $data['current_retry'];
    $data['current_retry']++;
    // First, or it would be the one to get the retry.
    $channel->basic_cancel($message->getConsumerTag());
    original_publish($channel, $data);
    $message->ack();
});
while ($channel->is_consuming()) {
    $channel->wait(null, false, 5);
}
$seen = [];
lines(fn () => $consumer->consumeAll());
same('their retry is our second try', [[0], [1]], [$theirs, array_column($seen, 'current_retry')]);

// Packed, and back: only what is large enough.
$large = new TaskMessage('large', ['text' => str_repeat('订单 ', 1000)], 9);
$producer->publishBatch([$large, new TaskMessage('small', [], 9)]);
$message = $channel->basic_get('task.high', true);
same('packed', [$large->toArray(), 'gzip'], [json_decode(gzdecode($message->getBody()), true), $message->get('content_encoding')]);
check('smaller', strlen($message->getBody()) < 1000);
check('the small one is not', !$channel->basic_get('task.high', true)->has('content_encoding'));
$seen = [];
$producer->publish($large);
$channel->basic_publish(new AMQPMessage(gzencode(json_encode($fields = task_fields())), ['content_encoding' => 'gzip', 'content_type' => 'application/json']), 'task.exchange', 'task.normal');
lines(fn () => $consumer->consumeAll());
same('unpacked', [$large->toArray(), $fields], $seen);
// A retry of a packed one is packed again.
$producer->publish($again = new TaskMessage('again', ['text' => str_repeat('x', 5000)], 9));
$tries = 0;
$retrying = consumer($dsn, function () use (&$tries) {
    return ++$tries === 1 ? TaskResult::failure('once') : TaskResult::success();
});
consume_until($retrying, function () use (&$tries) {
    return $tries === 2;
});
same('twice', 2, $tries);
same('no dead letter so far', 0, $node->ready('task.dlq'));

// What cannot be read: raw to the dead letters, once each, and the consumer goes on.
$bad = [
    'no json' => ['not json', []],
    'empty' => ['', []],
    'a list' => ['[1,2]', []],
    'no type' => ['{"task_id":"x"}', []],
    'deep' => ['{"task_id":"deep","task_type":"t","payload":' . str_repeat('[', 600) . str_repeat(']', 600) . '}', []],
    'no utf-8' => ["{\"task_id\":\"x\",\"task_type\":\"\xff\"}", []],
    'another type' => [json_encode(task_fields()), ['content_type' => 'application/x-php']],
    'another encoding' => [json_encode(task_fields()), ['content_encoding' => 'deflate']],
    'no gzip' => [json_encode(task_fields()), ['content_encoding' => 'gzip']],
    'cut gzip' => [substr(gzencode(json_encode(task_fields())), 0, 50), ['content_encoding' => 'gzip']],
    'gzip bomb' => [gzencode(str_repeat('0', 50 << 20), 9), ['content_encoding' => 'gzip']],
    'too large' => [json_encode(task_fields(['payload' => [str_repeat('x', 100001)]])), []],
    'a priority that is none' => ['{"task_id":"x","task_type":"t","priority":"high"}', []],
];
foreach ($bad as $name => [$body, $properties]) {
    $channel->basic_publish(new AMQPMessage($body, $properties + ['content_type' => 'application/json', 'message_id' => $name]), 'task.exchange', 'task.normal');
}
$good = task_fields(['task_type' => 'last']);
original_publish($channel, $good);
$seen = [];
$memory = memory_get_peak_usage();
$said = lines(fn () => $consumer->consumeAll());
same('the good one ran', [$good], $seen);
$letters = $node->take('task.dlq');
same('all are dead letters', array_keys($bad), array_map(fn ($letter) => $letter[1]['message_id'], $letters));
foreach ($letters as [$body, $properties, $headers]) {
    $name = $properties['message_id'];
    same("$name: raw", md5($bad[$name][0]), md5($body));
    same("$name: reason", 'poison', $headers['x-ferry-reason']);
    check("$name: why", strlen($headers['x-ferry-error']) > 20, $headers['x-ferry-error']);
    same("$name: encoding", $bad[$name][1]['content_encoding'] ?? null, $properties['content_encoding'] ?? null);
}
holds('the bomb is known by its limit', 'more than 100000 bytes', array_column($letters, 2, null)[array_search('gzip bomb', array_keys($bad), true)]['x-ferry-error']);
same('lines', count($bad), count(array_filter($said, fn ($line) => str_starts_with($line, '[Task] Error: '))));

// High before normal before low, with the smallest prefetch; nothing starves.
$tasks = [];
foreach ([2 => 20, 5 => 20, 9 => 60] as $priority => $count) {
    for ($i = 0; $i < $count; $i++) {
        $tasks[] = new TaskMessage('t', [], $priority);
    }
}
foreach ([1, 10] as $prefetch) {
    $producer->publishBatch($tasks);
    $order = [];
    $ordered = consumer($dsn, function (TaskMessage $task) use (&$order) {
        $order[] = $task->priority;
        return TaskResult::success();
    }, ['prefetch_count' => $prefetch]);
    lines(fn () => $ordered->consumeAll());
    same("prefetch $prefetch: all", 100, count($order));
    $first = array_count_values(array_slice($order, 0, 60));
    check("prefetch $prefetch: high first", $first[9] >= 50, $first);
    check("prefetch $prefetch: one in sixteen of each lower one", $first[5] >= 2 && $first[5] <= 6 && $first[2] >= 2 && $first[2] <= 6, $first);
    same("prefetch $prefetch: the first fifteen", array_fill(0, 15, 9), array_slice($order, 0, 15));
}
done();
?>
--EXPECT--
ok
