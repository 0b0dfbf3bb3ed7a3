--TEST--
Task messages are plain values, and what cannot be carried is refused before anything is sent
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{DeadLetters, Schema, TaskConsumer, TaskHandlerRegistry, TaskMessage, TaskProducer, TaskResult};

// Values: defaults, named arguments, weak mode, changes, copies, subclasses.
$task = new TaskMessage('email.send', ['to' => 'x']);
same('defaults', [5, 3, 0, 86400, []], [$task->priority, $task->maxRetries, $task->currentRetry, $task->expireAt - $task->createdAt, $task->metadata]);
$task = new TaskMessage('t', [], priority: 8, ttl: 10);
same('named arguments', [8, 3, 10], [$task->priority, $task->maxRetries, $task->expireAt - $task->createdAt]);
same('weak mode', [7, 2], [(new TaskMessage('t', [], '7', '2'))->priority, (new TaskMessage('t', [], 7.0, '2'))->maxRetries]);
same('clamped', [1, 10], [(new TaskMessage('t', [], -5))->priority, (new TaskMessage('t', [], 255))->priority]);
$task->payload['a']['b'] = 1;
$task->metadata[] = 'm';
$copy = clone $task;
$copy->metadata[] = 'n';
same('deep writes, and a copy of its own', [['a' => ['b' => 1]], ['m'], ['m', 'n']], [$task->payload, $task->metadata, $copy->metadata]);
same('tries', [true, true, false], [$task->canRetry(), (fn () => [$task->incrementRetry()->incrementRetry(), 0, $task->canRetry()][2])(), (fn () => [$task->incrementRetry(), $task->canRetry()][1])()]);
same('expiry', [false, true], [$task->isExpired(), (new TaskMessage('t', [], ttl: -1))->isExpired()]);
check('a round trip', TaskMessage::fromArray($task->toArray()) == $task);
same('what is missing', [5, 3, 0, []], (fn (TaskMessage $t) => [$t->priority, $t->maxRetries, $t->currentRetry, $t->metadata])(TaskMessage::fromArray(['task_id' => 'i', 'task_type' => 't'])));
final class OwnTask extends TaskMessage
{
    public function __construct()
    {
        parent::__construct('own', ['x' => 1], 9);
    }
}
same('a subclass', ['own', 9, OwnTask::class], [(new OwnTask())->taskType, (new OwnTask())->priority, get_class(new OwnTask())]);
check('ids differ', (new TaskMessage('t', []))->taskId !== (new TaskMessage('t', []))->taskId);
$hollow = (new ReflectionClass(TaskMessage::class))->newInstanceWithoutConstructor();
check('a hollow task throws', thrown(fn () => $hollow->toArray()) !== 'nothing');
foreach ([[['task_type' => 't'], 'task_id'], [['task_id' => 'i'], 'task_type'], [['task_id' => 'i', 'task_type' => 't', 'payload' => 'x'], 'payload'], [['task_id' => 'i', 'task_type' => 't', 'priority' => 'x'], 'priority'], [['task_id' => "\xff", 'task_type' => 't'], 'UTF-8'], [['task_id' => str_repeat('x', 256), 'task_type' => 't'], '256 bytes']] as [$array, $why]) {
    holds("fromArray: $why", $why, thrown(fn () => TaskMessage::fromArray($array)));
}
holds('an empty type', '0 bytes', thrown(fn () => new TaskMessage('', [])));
check('a payload that is no array', str_starts_with(thrown(fn () => new TaskMessage('t', 'x')), 'TypeError'));

// Results.
$good = TaskResult::success(['n' => 1]);
$bad = TaskResult::failure('smtp down');
same('results', [true, ['n' => 1], null, false, null, 'smtp down'], [$good->isSuccess(), $good->getData(), $good->getError(), $bad->isSuccess(), $bad->getData(), $bad->getError()]);
same('an exception', [$thrown = new LogicException('smtp'), false], [TaskResult::failure($thrown)->getError(), TaskResult::failure($thrown)->isSuccess()]);
holds('neither text nor exception', 'a text or a Throwable', thrown(fn () => TaskResult::failure([])));
same('no words', 'the handler gave no reason', TaskResult::failure(null)->getError());

// Handlers: named types, asked ones, none.
$asked = new Closured(fn () => TaskResult::success(), ['a']);
$named = new class(fn () => 0) implements Ferry\Task\TaskHandlerInterface {
    public function handle(TaskMessage $message): TaskResult
    {
        return TaskResult::success();
    }

    public function supports(string $type): bool
    {
        throw new LogicException('not asked');
    }

    public function getSupportedTypes(): array
    {
        return ['b', 'c'];
    }
};
$registry = new TaskHandlerRegistry();
$registry->register($named);
same('named', [$named, true], [$registry->get('b'), $registry->has('c')]);
$registry = new TaskHandlerRegistry();
$registry->register($asked);
$registry->register($named);
same('asked', [$asked, false], [$registry->get('a'), (new TaskHandlerRegistry())->has('x')]);
holds('nobody', 'Ferry\\HandlerNotFoundException: no handler is registered for tasks of type `x`', thrown(fn () => (new TaskHandlerRegistry())->get('x')));
holds('an exception of supports() is the caller\'s', 'not asked', thrown(fn () => $registry->get('x')));
holds('no handler', 'TaskHandlerInterface', thrown(fn () => $registry->register(new stdClass())));

// Connections: a name, a DSN, an array, an object; php-amqplib's own is told what to write.
Ferry\Queue::configure(['default' => 'r', 'connections' => ['r' => ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => 1], 'x' => ['type' => 'redis', 'host' => 'h']]]);
foreach (['r', 'amqp://guest:hunter2@127.0.0.1:1/', ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => 1, 'password' => 'hunter2'], new Ferry\Connection('amqp://127.0.0.1:1'), Ferry\Queue::connection('r'), null] as $connection) {
    $failed = thrown(fn () => (new TaskProducer($connection))->publish(new TaskMessage('t', [])));
    holds('nobody there', 'Ferry\ConnectionException: publish task task_', $failed);
    check('no secret', !str_contains($failed, 'hunter2'), $failed);
}
holds('a consumer says so too', 'consume tasks on `r`', thrown(fn () => (new TaskConsumer('r', $registry))->consumeAll()));
holds('another broker', 'tasks lie on RabbitMQ, and this is redis', thrown(fn () => new TaskProducer('x')));
holds('an unknown name', 'nope', thrown(fn () => new TaskProducer('nope')));
holds('an object', "new \\Ferry\\Task\\TaskProducer('amqp://USER:PASSWORD@HOST:5672/VHOST')", thrown(fn () => new TaskProducer(new SplObjectStorage())));
holds('an object of a consumer', 'new \Ferry\Task\TaskConsumer(', thrown(fn () => new TaskConsumer(new SplObjectStorage(), $registry)));

// What cannot be sent.
$producer = new TaskProducer('r');
holds('a negative ttl', 'the task expired 5 s ago', thrown(fn () => $producer->publish(new TaskMessage('t', [], ttl: -5))));
holds('a ttl without end', '49 days', thrown(fn () => $producer->publish(new TaskMessage('t', [], ttl: PHP_INT_MAX))));
holds('no UTF-8', 'Malformed UTF-8', thrown(fn () => $producer->publish(new TaskMessage('t', ["\xff"]))));
holds('NAN', 'Inf and NaN', thrown(fn () => $producer->publish(new TaskMessage('t', [NAN]))));
holds('too large', 'max_payload', thrown(fn () => $producer->publish(new TaskMessage('t', [str_repeat('x', 17 << 20)]))));
holds('no task', 'TaskMessage', thrown(fn () => $producer->publish(new stdClass())));
holds('one of many', 'TaskMessage', thrown(fn () => $producer->publishBatch([new TaskMessage('t', []), 7])));
same('an empty batch', 0, $producer->publishBatch([]));
final class Thrower implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        throw new LogicException('from jsonSerialize');
    }
}
same('what the payload throws', 'LogicException: from jsonSerialize', thrown(fn () => $producer->publish(new TaskMessage('t', [new Thrower()]))));
holds('an unknown option', 'did you mean `gzip`', thrown(fn () => new TaskProducer('r', ['gzib' => true])));
holds('an unknown option of a consumer', 'did you mean `prefetch_count`', thrown(fn () => new TaskConsumer('r', $registry, ['prefetch' => 1])));
holds('a wrong value', 'from 1 to 65535', thrown(fn () => new TaskConsumer('r', $registry, ['prefetch_count' => 0])));
holds('no queues', 'list of names', thrown(fn () => new TaskConsumer('r', $registry, ['queues' => []])));
holds('no registry', 'TaskHandlerRegistry', thrown(fn () => new TaskConsumer('r', 7)));
$consumer = new TaskConsumer('r', $registry);
holds('an unknown event', 'did you mean `starting`', thrown(fn () => $consumer->on('start', fn () => 0)));
holds('no listener', 'not callable', thrown(fn () => $consumer->on('retry', 'no such function')));
holds('no callback', 'not callable', thrown(fn () => $consumer->consume('task.high', 'no such function')));
same('not running', false, $consumer->isRunning());
holds('purging tasks', 'holds tasks, not dead letters', thrown(fn () => (new DeadLetters('r', 'task.high'))->purge()));
check('the schema', in_array('exchange task.exchange: direct, durable', Schema::declarations(), true) && str_contains(Schema::policies('/x')[0], "--vhost '/x'"));
done();
?>
--EXPECT--
ok
