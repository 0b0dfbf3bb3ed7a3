--TEST--
A handler sets timeout, tries and backoff of its type, a task its own timeout; failed() is called once at the end; a delayed task arrives when it is due
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskConsumer, TaskHandlerInterface, TaskHandlerRegistry, TaskMessage, TaskProducer, TaskResult};

$node = RabbitNode::shared();
$dsn = $node->dsn();
$producer = new TaskProducer($dsn);

/** Handles one type, with limits. */
class Limited implements TaskHandlerInterface
{
    public $timeout;
    public $tries;
    public $backoff;
    public array $told = [];

    public function __construct(private string $type, private Closure $work)
    {
    }

    public function handle(TaskMessage $task): TaskResult
    {
        return ($this->work)($task);
    }

    public function supports(string $taskType): bool
    {
        return $taskType === $this->type;
    }

    public function failed(TaskMessage $task, Throwable $error): void
    {
        global $node;
        $this->told[] = [$task->taskId, get_class($error), $error->getMessage(), $node->ready('task.dlq')];
    }
}

$consumer = function (Limited $handler) use ($dsn): TaskConsumer {
    $registry = new TaskHandlerRegistry();
    $registry->register($handler);
    return new TaskConsumer($dsn, $registry, ['stop_when_empty' => true, 'log' => false]);
};
$heard = function (TaskConsumer $consumer, string $event) {
    $heard = new ArrayObject();
    $consumer->on($event, fn (...$arguments) => $heard->append($arguments));
    return $heard;
};

// Tries and pauses of the type: three executions instead of two, the second pause for the second failure.
$flaky = new Limited('flaky', fn () => throw new DomainException('down'));
$flaky->tries = 3;
$flaky->backoff = [0, 1];
$worker = $consumer($flaky);
$retries = $heard($worker, 'retry');
$producer->publish($task = new TaskMessage('flaky', [], 5, 2));
consume_until($worker, fn () => $node->ready('task.dlq') === 1);
same('executions and pauses', [[1, 3, 0], [2, 3, 1]], array_map(fn ($one) => array_slice($one, 1, 3), $retries->getArrayCopy()));
same('told once, with its exception, when its dead letter is stored', [[$task->taskId, 'DomainException', 'down', 1]], $flaky->told);
$node->take('task.dlq');

// What a handler returns is told as it was returned; a text is the message of an exception.
$returning = new Limited('returns', fn ($task) => TaskResult::failure($task->payload === [] ? 'no reason' : new LengthException('too long')));
$returning->tries = 1;
$producer->publishBatch([new TaskMessage('returns', [], 5, 9), new TaskMessage('returns', [1], 4, 9)]);
consume_until($consumer($returning), fn () => $node->ready('task.dlq') === 2);
same('returned', [[Ferry\BrokerException::class, 'no reason'], [LengthException::class, 'too long']], array_map(fn ($one) => array_slice($one, 1, 2), $returning->told));
$node->take('task.dlq');

// What failed() throws changes nothing.
$producer->publish(new TaskMessage('late', [], 5, 1));
$child = Child::php('require ' . var_export(SUPPORT . '/tasks.php', true) . ';
    final class Late implements Ferry\Task\TaskHandlerInterface {
        public function handle(Ferry\Task\TaskMessage $task): Ferry\Task\TaskResult { return Ferry\Task\TaskResult::failure("no"); }
        public function supports(string $taskType): bool { return true; }
        public function failed($task, $error) { throw new LogicException("in failed()"); }
    }
    $registry = new Ferry\Task\TaskHandlerRegistry();
    $registry->register(new Late());
    exit((new Ferry\Task\TaskConsumer(' . var_export($dsn, true) . ', $registry, ["max_tasks" => 1]))->consumeAll());');
same('the consumer goes on', 0, $child->wait());
check('and says what was thrown', str_contains($child->err() . $child->out(), "failed() of a task's handler threw LogicException: in failed()"), $child->out() . $child->err());
same('its dead letter', 1, count($node->take('task.dlq')));

// Timeouts: of the type, and of a task, which comes first.
$slow = new Limited('slow', function () {
    $end = microtime(true) + 20;
    while (microtime(true) < $end);
    return TaskResult::success();
});
$slow->timeout = 0.3;
$slow->tries = 1;
$worker = $consumer($slow);
$timeouts = $heard($worker, 'timeout');
$producer->publish(new TaskMessage('slow', []));
$own = new TaskMessage('slow', [], 4);
$own->metadata['timeout'] = 0.6;
$producer->publish($own);
consume_until($worker, fn () => $node->ready('task.dlq') === 2);
same('each at its own time', [0.3, 0.6], array_column($timeouts->getArrayCopy(), 1));
same('both told', [Ferry\TimeoutException::class, Ferry\TimeoutException::class], array_column($slow->told, 1));
$node->take('task.dlq');

// A delay.
$begin = microtime(true);
same('delayed', true, $producer->publish($task = new TaskMessage('later', [], 9), 2));
same('several', 2, $producer->publishBatch([new TaskMessage('later', [], 9), new TaskMessage('later', [], 9)], delay: 2));
same('not yet', 0, $node->ready('task.high'));
wait_until(fn () => $node->ready('task.high') === 3, 'they are due', 20);
check('not before its time', microtime(true) - $begin >= 1, microtime(true) - $begin);
$arrived = array_column(array_map(fn ($message) => json_decode($message[0], true), $node->take('task.high')), 'task_id');
check('with its id', in_array($task->taskId, $arrived, true), json_encode($arrived));
holds('it would expire before', 'before its delay of 60 s is over', thrown(fn () => $producer->publish(new TaskMessage('later', [], 5, 3, 30), 60)));
holds('no such delay', 'the delay is 0 seconds or more, not -1', thrown(fn () => $producer->publish(new TaskMessage('later', []), -1)));
done();
?>
--EXPECT--
ok
