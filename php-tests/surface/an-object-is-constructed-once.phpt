--TEST--
A second __construct on a live object is refused by every class, also beneath a running method, and changes nothing
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

Ferry\Queue::configure(['connections' => ['m' => ['type' => 'memory']]]);
$connection = Ferry\Queue::connection();
$registry = new Ferry\Task\TaskHandlerRegistry;
$rabbit = 'amqp://127.0.0.1:1';
$objects = [
    [$connection, [['type' => 'sync']]],
    [new Ferry\Connection(['type' => 'memory']), [['type' => 'sync']]],
    [new Ferry\Worker(), [[]]],
    [new Ferry\Guard($connection), [$connection]],
    [new Ferry\CallQueuedHandler, []],
    [$registry, []],
    [new Ferry\Task\TaskMessage('mail', []), ['other', []]],
    [new Ferry\Task\TaskProducer($rabbit), [$rabbit]],
    [new Ferry\Task\TaskConsumer($rabbit, $registry), [$rabbit, $registry]],
    [new Ferry\Task\DeadLetters($rabbit), [$rabbit]],
];
foreach ($objects as [$object, $arguments]) {
    $class = get_class($object);
    same($class, "Ferry\InvalidArgumentException: this $class is constructed already; make another one with `new`", thrown(fn () => $object->__construct(...$arguments)));
}
same('the message is as it was', 'mail', $objects[6][0]->taskType);

// Beneath a running method.
class Again
{
    public static Ferry\Worker $worker;
    public static array $seen = [];
    public function fire($job, $data)
    {
        self::$seen[] = thrown(fn () => self::$worker->__construct(['queue' => 'elsewhere']));
        self::$seen[] = self::$worker->isRunning();
        $job->delete();
    }
}
$connection->push('Again', 1);
$connection->push('Again', 2);
Again::$worker = new Ferry\Worker(['stop_when_empty' => true, 'sleep' => 0, 'log' => 'none']);
$processed = 0;
Again::$worker->on('processed', function () use (&$processed) { $processed++; });
same('the run ends', 0, Again::$worker->run());
$refused = 'Ferry\InvalidArgumentException: this Ferry\Worker is constructed already; make another one with `new`';
same('refused while it runs', [$refused, true, $refused, true], Again::$seen);
same('its listeners are there', 2, $processed);

$guard = new Ferry\Guard($connection);
same('a guard at work', 5, $guard->once('key', function () use ($guard, $connection) {
    thrown(fn () => $guard->__construct($connection));
    return 5;
}));
check('the claim was completed', $guard->isDone('key'));

// By a subclass, whose options construct the object before its parent does.
$text = new class {
    public $object;
    public function __toString(): string { $this->object->construct('first'); return 'second'; }
};
class Sub extends Ferry\Worker
{
    public function __construct($text) { $text->object = $this; parent::__construct(['queue' => $text]); }
    public function construct(string $queue) { parent::__construct(['queue' => $queue]); }
}
same('from within its own options', $refused, thrown(fn () => new Sub($text)));
same('a new object is another one', 'Sub', get_class(new Sub(new class($text) { public $object; public function __toString(): string { return 'a'; } })));
done();
?>
--EXPECT--
ok
