--TEST--
A worker runs once at a time, can be stopped, counted, subclassed and asked for one job
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Job1
{
    public function fire($job, $data)
    {
        $GLOBALS['ran'][] = $data;
        if ($data instanceof Closure) {
            $data();
        }
        if (isset($GLOBALS['inside'])) {
            ($GLOBALS['inside'])($job);
        }
        $job->delete();
    }
}

class MyWorker extends Worker
{
    public $own = 'mine';
    private array $seen = [];

    public function __construct(array $options = [])
    {
        parent::__construct($options + ['log' => 'none', 'stop_when_empty' => true]);
        $this->on('processed', function ($job) {
            $this->seen[] = $job->payload('data');
        });
    }

    public function run(): int
    {
        parent::run();
        return count($this->seen);
    }
}

class Orphan extends Worker
{
    public function __construct()
    {
    }
}

function inside(callable $work, array $options = []): Worker
{
    Queue::connection()->clear();
    Queue::push('Job1', 'x');
    $GLOBALS['ran'] = [];
    $GLOBALS['inside'] = $work;
    $worker = new Worker($options + ['log' => 'none', 'stop_when_empty' => true]);
    $GLOBALS['worker'] = $worker;
    $worker->run();
    unset($GLOBALS['inside']);
    return $worker;
}

Queue::configure('memory:');

// Subclasses.
foreach ([1, 2, 3] as $data) {
    Queue::push('Job1', $data);
}
$mine = new MyWorker();
same('its class', MyWorker::class, get_class($mine));
same('its own run()', 3, $mine->run());
same('its own property', 'mine', $mine->own);
check('a subclass without parent::__construct() is refused', thrown(fn () => (new Orphan())->run()) !== 'nothing');

// Once at a time.
$said = '';
inside(function () use (&$said) {
    $said = [thrown(fn () => $GLOBALS['worker']->run()), thrown(fn () => $GLOBALS['worker']->process()), $GLOBALS['worker']->isRunning()];
});
same('run inside run', ['Ferry\InvalidArgumentException: this worker is running already', 'Ferry\InvalidArgumentException: this worker is running already', true], $said);
same('not running afterwards', false, $GLOBALS['worker']->isRunning());
same('and can run again', 0, $GLOBALS['worker']->run());

// Another worker inside a handler.
Queue::push('Job1', 'inner', 'inner');
inside(function ($job) {
    if ($job->getQueue() !== 'inner') {
        same('a worker in a handler', 0, (new Worker(['queue' => 'inner', 'log' => 'none', 'stop_when_empty' => true]))->run());
    }
});
same('both ran', ['x', 'inner'], $GLOBALS['ran']);

// stop(), from a handler; max_jobs; once; max_time.
foreach (range(1, 5) as $data) {
    Queue::push('Job1', $data, 'many');
}
$worker = new Worker(['queue' => 'many', 'log' => 'none']);
$GLOBALS['ran'] = [];
$GLOBALS['inside'] = fn () => count($GLOBALS['ran']) === 2 && $worker->stop();
same('stop()', 0, $worker->run());
unset($GLOBALS['inside']);
same('after the current job', [1, 2], $GLOBALS['ran']);
$worker->stop();
$GLOBALS['ran'] = [];
same('a stop() before run() does not count', 0, (new Worker(['queue' => 'many', 'log' => 'none', 'max_jobs' => 2]))->run());
same('max_jobs', [3, 4], $GLOBALS['ran']);
same('once', 0, (new Worker(['queue' => 'many', 'log' => 'none', 'once' => true]))->run());
same('once', [3, 4, 5], $GLOBALS['ran']);
$begun = clock();
same('once on an empty queue waits for `sleep`', 0, (new Worker(['log' => 'none', 'once' => true, 'sleep' => 0.3]))->run());
check('about that long', abs(clock() - $begun - 0.3) < 0.25, clock() - $begun);
$begun = clock();
same('max_time', 0, (new Worker(['log' => 'none', 'max_time' => 0.3]))->run());
check('about that long', abs(clock() - $begun - 0.3) < 0.25, clock() - $begun);

// process(): one job, without waiting.
Queue::push('Job1', 'one');
$worker = new Worker(['log' => 'none']);
same('process()', [true, false], [$worker->process(), $worker->process()]);
same('on_return delete', 0, (function () {
    Queue::push('Quiet');
    (new Worker(['log' => 'none', 'once' => true, 'on_return' => 'delete']))->run();
    return Queue::size();
})());

class Quiet
{
    public function fire($job, $data)
    {
    }
}

// Several queues, in order of priority.
foreach (['low', 'high', 'low', 'high'] as $at => $queue) {
    Queue::push('Job1', "$queue$at", $queue);
}
$GLOBALS['ran'] = [];
(new Worker(['log' => 'none', 'queue' => 'high,low', 'stop_when_empty' => true]))->run();
same('priorities', ['high1', 'high3', 'low0', 'low2'], $GLOBALS['ran']);
done();
?>
--EXPECT--
ok
