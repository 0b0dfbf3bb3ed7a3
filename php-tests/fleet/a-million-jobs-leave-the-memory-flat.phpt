--TEST--
A million jobs through one worker leave PHP's memory and the process flat
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

const JOBS = 1_000_000;
const STEP = 10_000;
/** The two ends that are compared, in steps: the first is after the warm-up of PHP, the allocator and the batches. */
const EARLY = [20, 20];
const LATE = [80, 20];

class Counts
{
    public function fire($job, $data)
    {
        $GLOBALS['count']++;
        $job->delete();
    }
}

/** Resident kilobytes of this process. */
function resident(): int
{
    preg_match('/VmRSS:\s+(\d+)/', file_get_contents('/proc/self/status'), $found);
    return (int) $found[1];
}

/** The middle one of some samples: the allocator gives back and takes again as it likes. */
function middle(SplFixedArray $samples, array $which): int
{
    $some = array_slice($samples->toArray(), ...$which);
    sort($some);
    return $some[intdiv(count($some), 2)];
}

$server = RedisServer::start();
Queue::configure($server->dsn());
// Pushed by another process, so that its bulks are no part of what is measured.
$producer = Child::php('$jobs = array_fill(0, ' . STEP . ', "Counts"); for ($n = 0; $n < ' . JOBS . '; $n += ' . STEP . ') { Ferry\Queue::bulk($jobs, 7); }', [], ['FERRY_URL' => $server->dsn()]);
same('the producer ends well', 0, $producer->wait());

// Made before the first sample, so that taking samples takes no memory.
$php = new SplFixedArray(intdiv(JOBS, STEP));
$process = new SplFixedArray(intdiv(JOBS, STEP));
$GLOBALS['count'] = $sampled = 0;
$worker = new Ferry\Worker(['log' => 'none', 'max_jobs' => JOBS, 'max_time' => 50]);
$worker->on('looping', function () use (&$sampled, $php, $process) {
    // A loop is at most 64 jobs.
    if ($GLOBALS['count'] >= $sampled * STEP && $sampled < count($php)) {
        $php[$sampled] = memory_get_usage();
        $process[$sampled] = resident();
        $sampled++;
    }
});
$start = clock();
same('exit code', 0, $worker->run());
$seconds = clock() - $start;
same('every job ran once', JOBS, $GLOBALS['count']);
same('nothing is left', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());

$php_grew = middle($php, LATE) - middle($php, EARLY);
$process_grew = middle($process, LATE) - middle($process, EARLY);
// 600,000 jobs lie between: a byte lost by PHP each hundred jobs, or three bytes lost by us each job, would be seen.
check('PHP memory grew by less than 4 KB', $php_grew < 4096, $php_grew);
check('the process grew by less than 2 MB', $process_grew < 2048, $process_grew);
printf("%d jobs in %.1f s; from 300,000 jobs to 900,000: PHP %+d B, process %+d KB of %d\n", JOBS, $seconds, $php_grew, $process_grew, max($process->toArray()));
done();
?>
--EXPECTF--
1000000 jobs in %f s; from 300,000 jobs to 900,000: PHP %i B, process %i KB of %d
ok
