--TEST--
A decode callback makes tasks of messages of Laravel, Symfony and others: run, retried and kept like any task, and what it does not know becomes a dead letter as it came
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'pcntl', 'posix', 'amqp', 'illuminate', 'messenger'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';
require '/usr/share/php/Illuminate/Queue/autoload.php';
require '/usr/share/php/Symfony/Component/Messenger/Bridge/Amqp/autoload.php';
require '/usr/share/php/Symfony/Component/PropertyAccess/autoload.php';
require '/usr/share/php/Symfony/Component/Serializer/autoload.php';

use Ferry\Task\{DeadLetters, TaskConsumer, TaskHandlerRegistry, TaskMessage, TaskProducer, TaskResult};
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\{AmqpTransport, Connection};
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Stamp\BusNameStamp;
use Symfony\Component\Messenger\Transport\Serialization\{PhpSerializer, Serializer};
use Symfony\Component\Serializer\Encoder\JsonEncoder;
use Symfony\Component\Serializer\Normalizer\ObjectNormalizer;

$node = RabbitNode::shared();
$dsn = $node->dsn();
$queues = ['task.high', 'task.normal', 'task.low', 'default'];
// Each time with a connection of its own: one that is kept would be closed by a forked child.
$publish = function (string $body, array $headers = [], array $properties = []) use ($node): void {
    $channel = $node->amqplib();
    $channel->queue_declare('default', false, true, false, false);
    $channel->confirm_select();
    $channel->basic_publish(new AMQPMessage($body, $properties + ['delivery_mode' => 2, 'application_headers' => new AMQPTable($headers)]), '', 'default');
    $channel->wait_for_pending_acks(10);
    $channel->getConnection()->close();
};
$config = ['queues' => $queues, 'log' => false];
$empty = fn () => array_sum(array_map(fn ($queue) => $node->ready($queue), $queues)) === 0;

holds('no callable', 'the consumer option `decode` must be a callable', thrown(fn () => consumer($dsn, fn () => 0, ['decode' => 'no such function'])));

// Laravel: the bytes of its own queue class, with the headers of its driver for RabbitMQ.
final class SendMail
{
    public $tries = 2;
    public $queue;

    public function __construct(public string $to, private array $copies = [])
    {
    }
}
$laravel = new class extends Illuminate\Queue\NullQueue {
    public function payload(object $job): string
    {
        return $this->createPayload($job, 'default');
    }
};
$ran = [];
$work = function (TaskMessage $task) use (&$ran) {
    $ran[] = [$task->taskId, $task->taskType, $task->payload, $task->currentRetry, $task->maxRetries];
    return ($task->payload['to'] ?? '') === 'nobody' ? TaskResult::failure('not an address') : TaskResult::success();
};
$publish($bytes = $laravel->payload(new SendMail('ada@example.com', ['bob'])), ['laravel' => ['attempts' => 1]]);
consumer($dsn, $work, $config + ['decode' => require project('examples/laravel-tasks/decode.php')])->consumeAll();
$uuid = json_decode($bytes, true)['uuid'];
same('of Laravel', [[$uuid, 'SendMail', ['tries' => 2, 'to' => 'ada@example.com', 'copies' => ['bob']], 1, 2]], $ran);
$publish($laravel->payload(new SendMail('nobody')), ['laravel' => ['attempts' => 1]]);
consumer($dsn, $work, $config + ['decode' => require project('examples/laravel-tasks/decode.php')])->consumeAll();
$letter = (new DeadLetters($dsn))->list()[0];
same('its last try', ['failed', 'not an address', 'SendMail', 2], [$letter['reason'], $letter['message'], $letter['type'], $letter['current_retry']]);
same('published again as a task', 1, (new DeadLetters($dsn))->requeue('all'));
same('of its level', 1, $node->ready('task.normal'));
$node->take('task.normal');

// Symfony: sent by its own transport. PHP-serialized envelopes are no messages that the example knows.
final class ResizePicture
{
    public function __construct(public string $file, public int $width)
    {
    }
}
$place = 'amqp://guest:guest@127.0.0.1:' . parse_url($dsn, PHP_URL_PORT) . '/' . (trim(parse_url($dsn, PHP_URL_PATH) ?? '', '/') ?: '%2f') . '/messages';
$transport = fn ($serializer) => new AmqpTransport(Connection::fromDsn($place), $serializer);
$json = new Serializer(new Symfony\Component\Serializer\Serializer([new ObjectNormalizer()], [new JsonEncoder()]));
$transport($json)->send(new Envelope(new ResizePicture('cat.jpg', 320), [new BusNameStamp('bus')]));
$transport(new PhpSerializer())->send(new Envelope(new ResizePicture('dog.jpg', 320)));
$ran = $poison = [];
$symfony = consumer($dsn, $work, ['queues' => [...$queues, 'messages'], 'decode' => require project('examples/symfony-tasks/decode.php')] + $config);
$symfony->on('poison', function (string $id, string $why) use (&$poison) {
    $poison[] = $why;
});
$symfony->consumeAll();
same('of Symfony', [['ResizePicture', ['file' => 'cat.jpg', 'width' => 320], 0, 3]], array_map(fn ($one) => array_slice($one, 1), $ran));
same('serialized', 1, count($poison));
holds('as without a callback', 'the body is no task', $poison[0]);
holds('as it came', 'dog.jpg', $node->take('task.dlq')[0][0]);

// What it gets, and what comes of what it answers.
$asked = [];
$answers = [
    'null' => fn () => null,
    'threw' => fn () => throw new DomainException("not today\xff"),
    'array' => fn () => ['task_id' => 'i'],
    'hollow' => fn () => (new ReflectionClass(TaskMessage::class))->newInstanceWithoutConstructor(),
    'not JSON' => fn () => new TaskMessage('t', ["\xff"]),
    'buffer' => function () { ob_start(); return null; },
];
$decode = function (string $body, array $headers, array $properties) use (&$asked, $answers) {
    $asked[] = [$body, $headers, $properties];
    return $answers[$body]();
};
$publish('null', ['n' => 1, 't' => true, 'l' => [1, 'x'], 'd' => ['k' => ['deep' => 5]]], ['message_id' => 'mine', 'priority' => 3, 'content_type' => 'text/x', 'correlation_id' => 'c', 'type' => 'y', 'timestamp' => 1700000000]);
foreach (array_slice(array_keys($answers), 1) as $body) {
    $publish($body);
}
$poison = [];
$consumer = consumer($dsn, $work, $config + ['decode' => $decode]);
$consumer->on('poison', function (string $id, string $why) use (&$poison) {
    $poison[] = [$id, $why];
});
$level = ob_get_level();
$consumer->consumeAll();
same('output buffers are closed', $level, ob_get_level());
ksort($asked[0][2]);
same('what it gets', ['null', ['d' => ['k' => ['deep' => 5]], 'l' => [1, 'x'], 'n' => 1, 't' => true], [
    'content_type' => 'text/x', 'correlation_id' => 'c', 'exchange' => '', 'message_id' => 'mine', 'priority' => 3, 'queue' => 'default',
    'routing_key' => 'default', 'timestamp' => 1700000000, 'type' => 'y',
]], $asked[0]);
$expected = ['its content type is `text/x`', 'the decode callback threw DomainException: not today', 'the decode callback returned array, not a Ferry\Task\TaskMessage or null',
    'the task that the decode callback returned cannot be run: the task has no `task_id`', 'the payload of task task_', 'the body is no task'];
same('named', 'mine', $poison[0][0]);
foreach ($expected as $at => $why) {
    holds($why, $why, $poison[$at][1]);
}
$letters = $node->take('task.dlq');
same('dead letters as they came', array_keys($answers), array_column($letters, 0));
same('with their headers', ['poison', 1, ['k' => ['deep' => 5]]], array_map(fn ($key) => $letters[0][2][$key], ['x-ferry-reason', 'n', 'd']));

// A retry is a task like any other: the callback is not asked again. Ferry's own tasks never reach it.
$asked = $ran = [];
$count = 0;
$retried = consumer($dsn, function (TaskMessage $task) use (&$ran) {
    $ran[] = [$task->taskId, $task->currentRetry];
    return count($ran) === 1 ? TaskResult::failure('not yet') : TaskResult::success();
}, $config + ['decode' => function (string $body) use (&$count) {
    $count++;
    return new TaskMessage($body, [], 9);
}]);
$publish('foreign');
consume_until($retried, function () use (&$ran) {
    return count($ran) === 2;
});
same('the same task', [$ran[0][0], 1], $ran[1]);
(new TaskProducer($dsn))->publish(new TaskMessage('own', []));
$retried->consumeAll();
same('asked once', [1, 3], [$count, count($ran)]);

// A consumer that stops gives back what it has not decoded, as it came.
array_map($publish, ['a', 'b', 'c'], array_fill(0, 3, ['kept' => 'yes']));
consumer($dsn, $work, ['max_tasks' => 1, 'decode' => fn ($body) => new TaskMessage($body, [])] + $config)->consumeAll();
$left = $node->take('default');
same('the others', ['b', 'c'], array_column($left, 0));
same('with their headers', [['kept' => 'yes'], ['kept' => 'yes']], array_column($left, 2));

// Killed workers: executions are counted as those of a task, and no more.
$log = temp_dir() . '/log';
$deaths = function (array $more, Closure $work) use ($dsn, $config, $empty): int {
    $deaths = 0;
    wait_until(function () use ($dsn, $config, $empty, $more, $work, &$deaths) {
        $code = reap(fork(fn () => consumer($dsn, $work, $more + $config)->consumeAll()));
        $deaths += $code === 0 ? 0 : 1;
        return $code === 0 && $empty();
    }, 'the killer is gone', 40);
    return $deaths;
};
$note = fn (string $line) => file_put_contents($log, "$line\n", FILE_APPEND | LOCK_EX);
$killed = function (TaskMessage $task) use ($note) {
    $note($task->taskId);
    $task->taskType === 'killer' && posix_kill(getmypid(), SIGKILL);
    return TaskResult::success();
};
$named = function (string $body) {
    $task = new TaskMessage($body, [], 5, 2);
    $task->taskId = "id of $body";
    return $task;
};
array_map($publish, ['one', 'killer', 'two']);
same('a handler that kills its worker', 3, $deaths(['decode' => $named], $killed));
$ran = array_count_values(file($log, FILE_IGNORE_NEW_LINES));
ksort($ran);
same('the others ran once', ['id of killer' => 3, 'id of one' => 1, 'id of two' => 1], $ran);
$letters = $node->take('task.dlq');
same('one dead letter', ['id of killer'], array_map(fn ($letter) => json_decode($letter[0], true)['original_task']['task_id'], $letters));

// A callback that ends its worker does not end the next ones.
foreach (['exit' => ['exit(0)', 1], 'fatal' => ['str_repeat("x", 1 << 40)', 1], 'kill' => ['posix_kill(getmypid(), SIGKILL)', 2]] as $how => [$end, $expected]) {
    unlink($log);
    array_map($publish, ['one', 'bad', 'two']);
    $program = 'require ' . var_export(SUPPORT . '/tasks.php', true) . '; exit(consumer(' . var_export($dsn, true) . ', function ($task) {
        file_put_contents(' . var_export($log, true) . ', "$task->taskType\n", FILE_APPEND | LOCK_EX);
        return Ferry\Task\TaskResult::success();
    }, ["decode" => fn ($body) => $body === "bad" ? ' . $end . ' : new Ferry\Task\TaskMessage($body, [])] + ' . var_export($config, true) . ')->consumeAll());';
    $deaths = 0;
    wait_until(function () use ($program, $empty, &$deaths) {
        $code = Child::php($program, ['-d', 'memory_limit=64M'])->wait();
        $deaths += $code === 0 ? 0 : 1;
        return $code === 0 && $empty();
    }, "$how: all are done", 40);
    same("$how: deaths", $expected, $deaths);
    $ran = file($log, FILE_IGNORE_NEW_LINES);
    sort($ran);
    same("$how: the others ran once", ['one', 'two'], $ran);
    $letters = $node->take('task.dlq');
    same("$how: one dead letter", ['bad'], array_column($letters, 0));
    holds("$how: why", $how === 'kill' ? 'died before it was decoded' : 'the decode callback ended the process', $letters[0][2]['x-ferry-error']);
}

// One that never ends is stopped by the timeout.
$publish('endless');
$poison = [];
$timed = consumer($dsn, $work, ['timeout' => 1, 'decode' => function () { while (true) { } }] + $config);
$timed->on('poison', function (string $id, string $why) use (&$poison) {
    $poison[] = $why;
});
same('goes on', 0, $timed->consumeAll());
same('stopped', ['the decode callback ran longer than the timeout and was stopped'], $poison);

done();
?>
--EXPECT--
ok
