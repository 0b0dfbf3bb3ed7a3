--TEST--
Cycles through objects of Ferry are collected: a listener that captures its worker, a result, a registry, a consumer, a logger, a factory
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

final class Watched
{
    public static int $alive = 0;
    public function __construct(public $held = null) { self::$alive++; }
    public function __destruct() { self::$alive--; }
    public function log($level, $message, $context) {}
}
class Handler implements Ferry\Task\TaskHandlerInterface
{
    public $held;
    public Watched $watched;
    public function __construct(public Ferry\Task\TaskHandlerRegistry $registry) { $this->watched = new Watched; }
    public function getSupportedTypes() { return ['a', 'b']; }
    public function handle(Ferry\Task\TaskMessage $task): Ferry\Task\TaskResult { return Ferry\Task\TaskResult::success(); }
    public function supports(string $taskType): bool { return true; }
}
class Sub extends Ferry\Worker { public $own; }

Ferry\Queue::configure('memory:');
$cycles = [
    'a listener' => function () {
        $worker = new Ferry\Worker(['log' => 'none']);
        $watched = new Watched;
        $worker->on('ready', function () use ($worker, $watched) { $worker->stop(); });
    },
    'a listener of a worker that ran' => function () {
        $worker = new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]);
        $watched = new Watched;
        $worker->on('ready', function () use ($worker, $watched) { gc_collect_cycles(); $worker->stop(); });
        $worker->run();
    },
    'a subclass with properties' => function () {
        $worker = new Sub(['log' => 'none']);
        $worker->own = new Watched($worker);
        $worker->dynamic = [$worker];
        $worker->on('ready', [$worker, 'stop']);
    },
    'a listener of a worker of plain tasks' => function () {
        $worker = new Ferry\RedisTask\Worker(new Ferry\RedisTask\QueueManager);
        $watched = new Watched;
        $worker->on('ready', function () use ($worker, $watched) { $worker->stop(); });
    },
    'a logger' => function () {
        $logger = new Watched;
        $logger->held = new Ferry\Worker(['log' => $logger]);
    },
    'a factory' => function () {
        $watched = new Watched;
        $watched->held = new Ferry\Worker(['handler' => fn () => $watched, 'log' => 'none']);
    },
    'a result' => function () {
        $watched = new Watched;
        $watched->held = Ferry\Task\TaskResult::success([$watched]);
    },
    'a registry' => function () {
        $registry = new Ferry\Task\TaskHandlerRegistry;
        $registry->register(new Handler($registry));
    },
    'a consumer' => function () {
        $registry = new Ferry\Task\TaskHandlerRegistry;
        $registry->register($handler = new Handler($registry));
        $handler->held = new Ferry\Task\TaskConsumer('amqp://127.0.0.1:1', $registry);
        $handler->held->on('success', fn () => $handler);
    },
];
error_reporting(E_ALL & ~E_DEPRECATED);
foreach ($cycles as $name => $cycle) {
    Watched::$alive = 0;
    gc_collect_cycles();
    for ($i = 0; $i < 50; $i++) {
        $cycle();
    }
    gc_collect_cycles();
    same($name, 0, Watched::$alive);
}

// What is in use is left alone.
$seen = 0;
$worker = new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]);
$worker->on('ready', function () use (&$seen, $worker) { $seen++; });
$result = Ferry\Task\TaskResult::success($value = new Watched);
for ($i = 0; $i < 3; $i++) {
    gc_collect_cycles();
}
$worker->run();
same('a listener in use', 1, $seen);
same('a value in use', $value, $result->getData());
done();
?>
--EXPECT--
ok
