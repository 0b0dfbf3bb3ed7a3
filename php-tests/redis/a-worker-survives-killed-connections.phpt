--TEST--
A worker whose links are killed again and again works every job, and loses none
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

const JOBS = 400;

class Marks
{
    public function fire($job, $data)
    {
        $GLOBALS['redis']->hIncrBy('marks', (string) $data, 1);
        if ($data % 40 === 0) {
            // Everybody's links but this test's own.
            $GLOBALS['redis']->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        }
        $job->delete();
    }
}

$server = RedisServer::start();
$GLOBALS['redis'] = $server->client();
foreach (['pipelined', 'immediate'] as $settle) {
    $GLOBALS['redis']->flushAll();
    Queue::configure(['connections' => ['redis' => $server->config(['retry_after' => 2])]]);
    foreach (range(1, JOBS) as $number) {
        Queue::push('Marks', $number);
    }
    $worker = new Ferry\Worker(['log' => 'none', 'settle' => $settle, 'max_time' => 40]);
    $worker->on('looping', fn () => Queue::size() === 0 && $worker->stop());
    same("$settle: exit code", 0, $worker->run());
    $marks = $GLOBALS['redis']->hGetAll('marks');
    same("$settle: every job was worked", JOBS, count($marks));
    // A deletion whose answer was lost may let its job run again; that is rare and never more than twice per cut.
    $again = array_sum($marks) - JOBS;
    check("$settle: hardly any ran again", $again <= 2 * JOBS / 40, $again);
    same("$settle: nothing is left", [0, 0, 0, 0], array_values(Queue::stats()));
}
done();
?>
--EXPECTF--
%Aok
