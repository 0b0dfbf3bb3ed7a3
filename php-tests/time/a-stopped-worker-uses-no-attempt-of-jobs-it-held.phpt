--TEST--
A worker that is stopped in the middle of a batch gives the jobs it held back, in order, byte for byte, and burns no attempt of theirs
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

const JOBS = 1000;

class Counts
{
    /** The job in whose handler the worker was stopped. */
    public static ?int $last = null;
    /** What was reserved at that moment: it and those behind it. */
    public static int $held = 0;
    public static ?Closure $stop = null;

    public function fire($job, $number)
    {
        // Batches grow with fast jobs; stop where many are held.
        if (self::$last === null && ($held = Queue::stats()['reserved']) > 5) {
            [self::$last, self::$held] = [$number, $held];
            (self::$stop)();
        }
        $job->delete();
    }
}

$ways = [
    'stop()' => fn (Ferry\Worker $worker) => $worker->stop(),
    'SIGTERM' => fn () => posix_kill(getmypid(), SIGTERM),
    'a listener that throws' => fn (Ferry\Worker $worker) => $worker->on('processed', fn () => throw new LogicException('enough')),
];
foreach (['think3', 'think3-legacy', 'think1'] as $family) {
    foreach (brokers($family === 'think3' ? [] : ['family' => $family]) as $broker => $config) {
        if ($broker === 'memory' && $family !== 'think3') {
            continue;
        }
        foreach ($ways as $way => $stop) {
            $name = "$family, $broker, $way";
            $connection = use_broker($config);
            for ($number = 0; $number < JOBS; $number++) {
                Queue::push('Counts', $number);
            }
            $pushed = $connection->peek(limit: JOBS);
            // `immediate`, so that what is reserved is what is held.
            $worker = new Ferry\Worker(['log' => 'none', 'settle' => 'immediate', 'stop_when_empty' => true]);
            [Counts::$last, Counts::$held, Counts::$stop] = [null, 0, fn () => $stop($worker)];
            $said = thrown(fn () => same("$name: exit code", 0, $worker->run()));
            same("$name: how it ended", $way === 'a listener that throws' ? 'LogicException: enough' : 'nothing', $said);

            check("$name: it held others", Counts::$held > 5, Counts::$held);
            $left = JOBS - Counts::$last - 1;
            same("$name: the states", ['ready' => $left, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());
            same("$name: order and bytes", array_slice($pushed, Counts::$last + 1), $connection->peek(limit: JOBS));
            for ($n = 1; $n <= Counts::$held; $n++) {
                $job = $connection->pop();
                same("$name: job $n behind it", [Counts::$last + $n, 1], [$job->payload('data'), $job->attempts()]);
            }
        }
    }
}
done();
?>
--EXPECT--
ok
