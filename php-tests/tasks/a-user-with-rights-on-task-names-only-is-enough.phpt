--TEST--
Rights on ^task\. are enough to publish, retry, dead-letter and hand back; a missing right is named at the start, one that is taken away ends the consumer
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{DeadLetters, Schema, TaskMessage, TaskProducer, TaskResult};
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$node = RabbitNode::shared();
$user = 'tasks-' . bin2hex(random_bytes(4));
// One call of rabbitmqctl takes a second or more, so it makes the user and its rights at once.
$grant = fn (string $configure, string $write, string $read, string $before = '') => $node->ctl('eval', $before
    . sprintf('rabbit_auth_backend_internal:set_permissions(<<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"test">>).', $user, $node->vhost, ...array_map(fn ($right) => addslashes($right), [$configure, $write, $read])));
$grant('^task\.', '^task\.', '^task\.', "rabbit_auth_backend_internal:add_user(<<\"$user\">>, <<\"secret\">>, <<\"test\">>), ");
$dsn = "amqp://$user:secret@127.0.0.1:{$node->port}/" . ($node->vhost === '/' ? '' : $node->vhost);

Schema::declare($dsn);
$producer = new TaskProducer($dsn);
same('published', true, $producer->publish($task = new TaskMessage('mail', ['n' => 1], 9, 2)));
$runs = 0;
$log = consume_until(consumer($dsn, function () use (&$runs) {
    return ++$runs === 1 ? TaskResult::failure('down') : TaskResult::success();
}), function () use (&$runs) { return $runs === 2; });
same('retried', ["[Task] Retry 1/2: {$task->taskId}", "[Task] Success: {$task->taskId}"], array_values(array_filter(array_map(fn ($line) => substr($line, 0, strlen("[Task] Retry 1/2: {$task->taskId}")), $log), fn ($line) => preg_match('/Retry|Success/', $line) === 1)));
$producer->publish(new TaskMessage('mail', [], 5, 1));
consumer($dsn, fn () => TaskResult::failure('down'), ['log' => false])->consumeAll();
same('a dead letter', 1, $node->ready('task.dlq'));
same('requeued', 1, (new DeadLetters($dsn))->requeue('all'));

// Handed back: the consumer holds two and runs one.
$producer->publish(new TaskMessage('mail', [], 5, 1));
consumer($dsn, fn () => TaskResult::success(), ['log' => false, 'max_tasks' => 1])->consumeAll();
wait_until(fn () => $node->ready('task.normal') === 1, 'the other one is back');
same('uncounted', [0], array_map(fn ($message) => json_decode($message[0], true)['current_retry'], $node->take('task.normal')));

// Nothing of another name was declared.
holds('no delays of jobs', 'NOT_FOUND', thrown(fn () => $node->amqplib()->exchange_declare('ferry.due', 'topic', true)));

// What an earlier version delayed under its names arrives.
$channel = $node->amqplib();
$channel->exchange_declare('ferry.due', 'topic', false, true, false);
$channel->queue_bind('task.low', 'ferry.due', str_repeat('*.', 23) . 'task%2Elow.q');
$channel->queue_declare('ferry.delay.00', false, true, false, false, false, new AMQPTable(['x-message-ttl' => 300, 'x-dead-letter-exchange' => 'ferry.due']));
$channel->exchange_declare('ferry.delay.00', 'topic', false, true, false);
$channel->queue_bind('ferry.delay.00', 'ferry.delay.00', str_repeat('*.', 22) . '1.#');
$channel->basic_publish(new AMQPMessage(json_encode(task_fields(['priority' => 1]))), 'ferry.delay.00', str_repeat('0.', 22) . '1.task%2Elow.q');
$ran = 0;
consume_until(consumer($dsn, function () use (&$ran) { $ran++; return TaskResult::success(); }), function () use (&$ran) { return $ran === 1; });

// A right that is missing at the start is named, before a task is taken. Declared for connections of their own.
$consume = 'require SUPPORT . "/tasks.php"; set_error_handler(null); try { exit(100 + consumer(getenv("DSN"), fn () => Ferry\Task\TaskResult::success(), ["max_time" => 20])->consumeAll()); } catch (Ferry\Exception $e) { echo get_class($e), ": ", $e->getMessage(); exit(1); }';
$start = fn (string $code) => Child::php($code, env: ['DSN' => $dsn]);
$producer->publish($task);
foreach ([
    'task.dlx' => ['^task\.', '^task\.(exchange|due|delay|high|normal|low|dlq)', '^task\.'],
    'task.delay.05' => ['^task\.', '^task\.(exchange|dlx|due|high|normal|low|dlq|delay\.0[0-4])', '^task\.'],
] as $name => $rights) {
    $grant(...$rights);
    $child = $start($consume);
    $child->wait();
    $said = $child->out();
    check("without a right on $name", str_contains($said, "'$name'") && str_contains($said, 'ACCESS_REFUSED') && str_contains($said, "set_permissions"), $said);
}
same('the task waits', 1, $node->ready('task.high'));

// A right that goes while a task runs ends the consumer at once, with an exit code and without a second try.
$grant('^task\.', '^task\.', '^task\.');
$began = clock();
$log = new class () {
    public array $lines = [];
    public function log($level, $message): void
    {
        $this->lines[] = (string) $message;
    }
};
// On connections of its own: RabbitMQ keeps what it permitted a channel.
$consumer = consumer("$dsn?heartbeat=31", function () use ($grant) {
    $grant('^task\.', '^task\.(exchange|dlx|high|normal|low|dlq)', '^task\.');
    return TaskResult::failure('down');
}, ['log' => $log, 'stop_when_empty' => false, 'max_time' => 60]);
same('exit code', 1, $consumer->consumeAll());
holds('the line names the right', "access to queue 'task.delay", implode("\n", $log->lines));
check('at once', clock() - $began < 30, clock() - $began);
wait_until(fn () => $node->ready('task.high') === 1, 'the task is back');
done();
?>
--EXPECT--
ok
