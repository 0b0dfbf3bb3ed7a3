--TEST--
SIGTERM ends a loop over process() after its job, reaches the outer worker of a nested one, and leaves a user's real-time signal alone
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Told
{
    public static array $ran = [];
    public function fire($job, $data)
    {
        self::$ran[] = $data;
        posix_kill(posix_getpid(), SIGTERM);
        $job->delete();
    }
}
class Nesting
{
    public static array $ran = [];
    public function fire($job, $data)
    {
        self::$ran[] = $data;
        posix_kill(posix_getpid(), SIGTERM);
        (new Worker(['connection' => new Ferry\Connection(['type' => 'memory']), 'log' => 'none']))->process();
        (new Worker(['connection' => new Ferry\Connection(['type' => 'memory']), 'log' => 'none', 'stop_when_empty' => true]))->run();
        $job->delete();
    }
}
class Plain
{
    public static int $ran = 0;
    public function fire($job, $data)
    {
        self::$ran++;
        $job->delete();
    }
}

Queue::configure('memory:');
array_map(fn ($i) => Queue::push('Told', $i), [1, 2, 3]);
$worker = new Worker(['log' => 'none']);
while ($worker->process()) {
}
same('a loop over process() ends after the job', [1], Told::$ran);
same('what it did not take is there', 2, Queue::size());
same('a run leaves too: the request is answered there', 0, (new Worker(['log' => 'none', 'sleep' => 0]))->run());
same('and takes nothing', [1], Told::$ran);

Queue::connection()->clear();
array_map(fn ($i) => Queue::push('Nesting', $i), [1, 2, 3]);
same('a worker with nested ones ends', 0, (new Worker(['log' => 'none', 'prefetch' => 1, 'stop_when_empty' => true, 'sleep' => 0]))->run());
same('after the job', [1], Nesting::$ran);

Queue::connection()->clear();
array_map(fn ($i) => Queue::push('Plain', $i), [1, 2]);
same('the next run works', 0, (new Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]))->run());
same('everything', 2, Plain::$ran);

// stop() between two calls.
array_map(fn ($i) => Queue::push('Plain', $i), [1, 2]);
$worker->stop();
same('stop() ends the loop', false, $worker->process());
same('once', true, $worker->process());

// A signal that somebody took stays his.
pcntl_async_signals(true);
$kicked = 0;
pcntl_signal(SIGRTMIN + 7, function () use (&$kicked) { $kicked++; });
(new Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]))->run();
posix_kill(posix_getpid(), SIGRTMIN + 7);
wait_until(function () use (&$kicked) { return $kicked > 0; }, 'the handler of the user is called after the run', 2);
same('once each', 1, $kicked);
done();
?>
--EXPECT--
ok
