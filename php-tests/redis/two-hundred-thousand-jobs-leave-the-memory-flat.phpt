--TEST--
Two hundred thousand jobs through one worker leave PHP's memory and the process flat
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

const JOBS = 200_000;

/** Resident kilobytes of this process. */
function resident(): int
{
    preg_match('/VmRSS:\s+(\d+)/', file_get_contents('/proc/self/status'), $found);
    return (int) $found[1];
}

class Counts
{
    public function fire($job, $data)
    {
        $GLOBALS['count']++;
        if ($GLOBALS['count'] % 1000 === 0) {
            throw new RuntimeException('now and then');
        }
        $job->delete();
    }
}

$server = RedisServer::start();
Queue::configure(['connections' => ['redis' => $server->config(['settle' => 'pipelined'])]]);
$before_push = null;
for ($pushed = 0; $pushed < JOBS; $pushed += 1000) {
    Queue::bulk(array_fill(0, 1000, 'Counts'), ['user' => 7, 'text' => str_repeat('x', 100)]);
    $before_push ??= [memory_get_usage(), resident()];
    if ($pushed % 10000 === 0) {
        for ($single = 0; $single < 100; $single++) {
            Queue::later(3600, 'Counts', $single, 'later');
        }
    }
}
$after_push = [memory_get_usage(), resident()];

$GLOBALS['count'] = 0;
$marks = [];
$worker = new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none', 'tries' => 9, 'delay' => 0]);
$worker->on('processed', function () use (&$marks) {
    if ($GLOBALS['count'] === 20_001 || $GLOBALS['count'] === JOBS - 4999) {
        $marks[$GLOBALS['count']] = [memory_get_usage(), resident()];
    }
});
// So that the marks fall on no job that throws.
$GLOBALS['count'] = 1;
same('exit code', 0, $worker->run());
// Those that threw ran again.
check('all ran', $GLOBALS['count'] > JOBS + JOBS / 1000, $GLOBALS['count']);
same('none is left', 0, Queue::size());
[$early, $late] = array_values($marks) + [[0, 0], [PHP_INT_MAX, PHP_INT_MAX]];
check('pushing: PHP memory grew by less than 64 KB', $after_push[0] - $before_push[0] < 65536, $after_push[0] - $before_push[0]);
check('pushing: the process grew by less than 4 MB', $after_push[1] - $before_push[1] < 4096, $after_push[1] - $before_push[1]);
check('working: PHP memory grew by less than 64 KB', $late[0] - $early[0] < 65536, $late[0] - $early[0]);
check('working: the process grew by less than 4 MB', $late[1] - $early[1] < 4096, $late[1] - $early[1]);
fprintf(STDOUT, "pushing %d B, %d KB resident; working %d B, %d KB resident\n", $after_push[0] - $before_push[0], $after_push[1] - $before_push[1], $late[0] - $early[0], $late[1] - $early[1]);
done();
?>
--EXPECTF--
pushing %i B, %i KB resident; working %i B, %i KB resident
ok
