--TEST--
Task messages are serialized and unserialized like plain values, and data that no task wrote breaks nothing
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Task\{TaskMessage, TaskProducer, TaskResult};

// There and back, with everything that it holds.
$task = new TaskMessage('email.send', ['to' => 'ada', 'n' => [1, 2.5, null, "\xff"]], 8, 5, 60);
$task->metadata['trace'] = 'abc';
$task->incrementRetry();
$back = unserialize(serialize($task));
check('equal', $back == $task);
same('every field', $task->toArray(), $back->toArray());
same('its methods', [2, true, false], [$back->incrementRetry()->currentRetry, $back->canRetry(), $back->isExpired()]);
same('a copy of its own', 1, $task->currentRetry);
same('one of two names', true, (fn ($two) => $two[0] === $two[1])(unserialize(serialize([$task, $task]))));
holds('a second constructor', 'is constructed already', thrown(fn () => $back->__construct('other', [])));
same('and its fields are as they were', 'email.send', $back->taskType);
check('a copy of the copy', unserialize(serialize(clone $back)) == $back);

// A subclass keeps what is its own, and may say what is written.
class Report extends TaskMessage
{
    private $rows = 0;
    protected ?Report $next = null;

    public function __construct(int $rows)
    {
        $this->rows = $rows;
        parent::__construct('report', ['rows' => $rows], 2);
    }

    public function rows(): int
    {
        return $this->rows;
    }
}
final class Named extends Report
{
    public $woke = false;

    public function __serialize(): array
    {
        return ['row' => $this->rows()] + $this->toArray();
    }

    public function __unserialize(array $data): void
    {
        $this->__construct($data['row']);
        $this->taskId = $data['task_id'];
        $this->woke = true;
    }
}
$report = unserialize(serialize(new Report(7)));
same('a subclass', [Report::class, 7, ['rows' => 7], 2], [get_class($report), $report->rows(), $report->payload, $report->priority]);
$named = new Named(3);
$back = unserialize(serialize($named));
same('with methods of its own', [true, $named->taskId, 3], [$back->woke, $back->taskId, $back->rows()]);

// Only what PHP itself would build; others stay refused.
same('not among the allowed classes', '__PHP_Incomplete_Class', get_class(unserialize(serialize($task), ['allowed_classes' => false])));
foreach ([TaskResult::success(1), new TaskProducer('amqp://127.0.0.1:1')] as $object) {
    holds('others', 'not allowed', thrown(fn () => serialize($object)));
}

// An empty one, wrong types, objects, references, itself: each method answers or throws.
$class = 'O:22:"Ferry\Task\TaskMessage"';
class Loud
{
    public $task;

    public function __toString(): string
    {
        $this->task?->__construct('from within', []);
        return 'loud';
    }
}
$forged = [
    'empty' => "$class:0:{}",
    'null' => "$class:1:{s:6:\"taskId\";N;}",
    'numbers' => "$class:3:{s:6:\"taskId\";i:5;s:8:\"taskType\";d:0.5;s:9:\"createdAt\";s:3:\"abc\";}",
    'huge' => "$class:5:{s:6:\"taskId\";s:1:\"i\";s:8:\"taskType\";s:1:\"t\";s:9:\"createdAt\";i:-9223372036854775808;s:8:\"expireAt\";i:9223372036854775807;s:12:\"currentRetry\";i:9223372036854775807;}",
    'no array' => "$class:3:{s:6:\"taskId\";s:1:\"i\";s:8:\"taskType\";s:1:\"t\";s:7:\"payload\";s:1:\"x\";}",
    'itself' => "$class:3:{s:6:\"taskId\";s:1:\"i\";s:8:\"taskType\";s:1:\"t\";s:7:\"payload\";a:1:{i:0;r:1;}}",
    'references' => "$class:4:{s:6:\"taskId\";s:1:\"i\";s:8:\"taskType\";R:2;s:7:\"payload\";a:1:{i:0;R:4;}s:8:\"metadata\";R:4;}",
    'an object for a text' => "$class:2:{s:6:\"taskId\";O:4:\"Loud\":1:{s:4:\"task\";r:1;}s:8:\"taskType\";r:2;}",
    'twice' => "$class:2:{s:6:\"taskId\";s:1:\"i\";s:6:\"taskId\";a:0:{}}",
    'a private name' => "$class:1:{s:14:\"\0TaskMessage\0x\";i:1;}",
    'custom' => 'C:22:"Ferry\Task\TaskMessage":2:{{}}',
    'an enum' => 'E:26:"Ferry\Task\TaskMessage:One";',
    'cut' => substr(serialize($task), 0, -5),
];
$use = function ($task): void {
    foreach (['toArray', 'canRetry', 'isExpired', 'incrementRetry', fn ($task) => $task->progress(5), fn ($task) => clone $task, fn ($task) => serialize($task), fn ($task) => var_export($task, true),
        fn ($task) => (new TaskProducer('amqp://127.0.0.1:1/?connection_timeout=1'))->publish($task)] as $method) {
        thrown(fn () => is_string($method) ? $task->$method() : $method($task));
    }
};
set_error_handler(fn () => true);
foreach ($forged as $name => $data) {
    $made = null;
    thrown(function () use ($data, &$made) {
        $made = unserialize($data);
    });
    check("$name: a task or nothing", $made instanceof TaskMessage || !$made, $made);
    $made && $use($made);
}
holds('an empty one says what is missing', 'the task has no `task_id`', thrown(fn () => unserialize($forged['empty'])->toArray()));
$late = unserialize($forged['empty']);
$late->__construct('late', []);
same('an empty one may still be constructed', 'late', $late->taskType);
holds('once', 'is constructed already', thrown(fn () => $late->__construct('again', [])));

// Any byte wrong: PHP decides whether it is still a value; no object that comes of it is dangerous.
mt_srand(7);
$whole = serialize(new Report(1));
$built = 0;
for ($round = 0; $round < 3000; $round++) {
    $bytes = $whole;
    for ($change = mt_rand(1, 3); $change > 0; $change--) {
        $bytes[mt_rand(0, strlen($bytes) - 1)] = chr(mt_rand(0, 255));
    }
    try {
        $made = unserialize($bytes);
    } catch (Throwable) {
        continue;
    }
    if ($made instanceof TaskMessage) {
        $built++;
        thrown(fn () => $made->toArray());
        thrown(fn () => $made->incrementRetry());
    }
}
check('some were still tasks', $built > 100, $built);
restore_error_handler();

// Cycles are collected.
gc_collect_cycles();
for ($i = 0; $i < 10; $i++) {
    unserialize($forged['itself']);
}
check('cycles', gc_collect_cycles() >= 10);
done();
?>
--EXPECT--
ok
