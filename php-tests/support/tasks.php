<?php
// What the tests of tasks share: a handler made of a closure, a consumer that ends, the peer of the original design.

require_once __DIR__ . '/rabbit.php';

use Ferry\Task\{TaskConsumer, TaskHandlerInterface, TaskHandlerRegistry, TaskMessage, TaskResult};
use PhpAmqpLib\Channel\AMQPChannel as Channel;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

/** Takes every type, or those it was given. */
final class Closured implements TaskHandlerInterface
{
    public function __construct(private Closure $work, private ?array $types = null)
    {
    }

    public function handle(TaskMessage $task): TaskResult
    {
        return ($this->work)($task);
    }

    public function supports(string $taskType): bool
    {
        return $this->types === null || in_array($taskType, $this->types, true);
    }
}

/** A consumer with one handler, which stops when nothing is ready. */
function consumer(mixed $connection, Closure $work, array $config = [], ?array $types = null): TaskConsumer
{
    $registry = new TaskHandlerRegistry();
    $registry->register(new Closured($work, $types));
    return new TaskConsumer($connection, $registry, $config + ['stop_when_empty' => true]);
}

/** What `$work` prints, as lines. */
function lines(callable $work): array
{
    ob_start();
    try {
        $work();
    } finally {
        $said = ob_get_clean();
    }
    return $said === '' ? [] : explode("\n", rtrim($said, "\n"));
}

/** Runs consumers until a queue holds so many messages. */
function consume_until(TaskConsumer $consumer, callable $done, float $seconds = 20): array
{
    return lines(function () use ($consumer, $done, $seconds) {
        wait_until(function () use ($consumer, $done) {
            $consumer->consumeAll();
            return $done();
        }, 'the tasks are done', $seconds);
    });
}

/** The declarations of the original design, made by php-amqplib. `$wide` makes 64-bit integers. */
function original_topology(Channel $channel, bool $wide = false): void
{
    $table = function (array $arguments) use ($wide): AMQPTable {
        $table = new AMQPTable();
        foreach ($arguments as $name => $value) {
            $table->set($name, $value, is_int($value) ? ($wide ? AMQPTable::T_INT_LONGLONG : AMQPTable::T_INT_LONG) : AMQPTable::T_STRING_LONG);
        }
        return $table;
    };
    $channel->exchange_declare('task.exchange', 'direct', false, true, false);
    $channel->exchange_declare('task.dlx', 'direct', false, true, false);
    $channel->queue_declare('task.dlq', false, true, false, false, false, $table(['x-message-ttl' => 604800, 'x-max-length' => 100000]));
    $channel->queue_bind('task.dlq', 'task.dlx', 'task.failed');
    foreach (['task.high', 'task.normal', 'task.low'] as $queue) {
        $channel->queue_declare($queue, false, true, false, false, false, $table([
            'x-dead-letter-exchange' => 'task.dlx',
            'x-dead-letter-routing-key' => 'task.failed',
            'x-max-priority' => 10,
            'x-message-ttl' => 86400000,
        ]));
        $channel->queue_bind($queue, 'task.exchange', $queue);
    }
}

/** A task as the original design publishes it. */
function original_publish(Channel $channel, array $task, array $properties = []): void
{
    $queue = $task['priority'] >= 8 ? 'task.high' : ($task['priority'] >= 4 ? 'task.normal' : 'task.low');
    $channel->basic_publish(new AMQPMessage(json_encode($task), $properties + [
        'content_type' => 'application/json',
        'delivery_mode' => 2,
        'priority' => $task['priority'],
        'expiration' => (string) (($task['expire_at'] - time()) * 1000),
        'message_id' => $task['task_id'],
        'timestamp' => time(),
    ]), 'task.exchange', $queue);
}

/** The fields of a task. */
function task_fields(array $more = []): array
{
    static $number = 0;
    return array_replace([
        'task_id' => sprintf('task_20231114221320_%016x', ++$number),
        'task_type' => 't',
        'payload' => ['a' => 1],
        'priority' => 5,
        'max_retries' => 3,
        'current_retry' => 0,
        'created_at' => time(),
        'expire_at' => time() + 86400,
        'metadata' => [],
    ], $more);
}
