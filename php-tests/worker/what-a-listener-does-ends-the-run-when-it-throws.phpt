--TEST--
What a listener throws ends the run and reaches its caller; the job is given back, or settled already
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Job1
{
    public function fire($job, $data)
    {
        $data === 'throw' ? throw new RuntimeException('boom') : $job->delete();
    }
}

Queue::configure('memory:');
foreach ([
    ['looping', 'delete', '1/0/0/0'], ['processing', 'delete', '1/0/0/0'], ['processed', 'delete', '0/0/0/0'],
    ['exception', 'throw', '0/0/1/0'], ['released', 'throw', '0/1/0/0'], ['stopping', 'delete', '0/0/0/0'],
] as [$event, $act, $states]) {
    Queue::connection()->clear();
    Queue::push('Job1', $act);
    $worker = new Worker(['log' => 'none', 'stop_when_empty' => true, 'delay' => 60]);
    $worker->on($event, fn () => throw new DomainException("from $event"));
    same("$event: thrown", "DomainException: from $event", thrown(fn () => $worker->run()));
    same("$event: not running", false, $worker->isRunning());
    same("$event: states", $states, implode('/', Queue::stats()));
}
$worker = new Worker(['log' => 'none', 'stop_when_empty' => true, 'tries' => 1]);
$worker->on('failed', fn () => throw new DomainException('from failed'));
Queue::connection()->clear();
Queue::push('Job1', 'throw');
same('failed', 'DomainException: from failed', thrown(fn () => $worker->run()));
same('it lies in the failed store', [0, 0, 0, 1], array_values(Queue::stats()));

// A job given back untouched has its first attempt still before it, and its neighbours theirs.
Queue::connection()->clear();
foreach (range(1, 50) as $number) {
    Queue::push('Job1', 'delete');
}
$before = Queue::connection()->peek(limit: 100);
$worker = new Worker(['log' => 'none']);
$worker->on('processing', fn () => throw new DomainException('stop'));
thrown(fn () => $worker->run());
same('every byte is as before', $before, Queue::connection()->peek(limit: 100));

// Listeners run in the order of adding, may add others and may stop the worker.
$order = [];
$worker = new Worker(['log' => 'none']);
$worker->on('processing', function ($job) use (&$order, $worker) {
    $order[] = 'first';
    $worker->on('processed', function () use (&$order) {
        $order[] = 'added';
    });
    $worker->stop();
});
$worker->on('processing', function () use (&$order) {
    $order[] = 'second';
});
$worker->on('stopping', function (int $code) use (&$order) {
    $order[] = "stopping $code";
});
same('code', 0, $worker->run());
same('order', ['first', 'second', 'added', 'stopping 0'], $order);

// Every kind of callable.
class Listener
{
    public function __invoke()
    {
        $GLOBALS['heard'][] = 'invoke';
    }

    public function method()
    {
        $GLOBALS['heard'][] = 'method';
    }

    public static function still()
    {
        $GLOBALS['heard'][] = 'static';
    }
}
function plain_function()
{
    $GLOBALS['heard'][] = 'function';
}
$worker = new Worker(['log' => 'none', 'max_jobs' => 1]);
foreach ([new Listener(), [new Listener(), 'method'], 'Listener::still', ['Listener', 'still'], 'plain_function', plain_function(...)] as $listener) {
    $worker->on('processed', $listener);
}
$worker->run();
same('callables', ['invoke', 'method', 'static', 'static', 'function', 'function'], $GLOBALS['heard']);

// A listener may settle the job before its handler sees it.
$worker = new Worker(['log' => 'none', 'max_jobs' => 1]);
$size = Queue::size();
$worker->on('processing', fn ($job) => $job->release(60));
$worker->run();
same('released by a listener', [$size, 1], [Queue::size(), Queue::stats()['delayed']]);
done();
?>
--EXPECT--
ok
