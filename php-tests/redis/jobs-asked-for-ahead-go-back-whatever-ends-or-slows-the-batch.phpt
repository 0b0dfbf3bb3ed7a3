--TEST--
Jobs that a worker asked for ahead go back in order and byte for byte when it stops, pauses, ends or has a slow job, and come back when it is killed
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'redis', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

const JOBS = 200;
// Batches of 1, 2, 4 and 8 jobs are behind it.
const TRIGGER = 100;

$server = RedisServer::start();
$redis = $server->client();
$server_config = var_export($server->config(['retry_after' => 3]), true);
$code = fn (string $end) => <<<PHP
const TRIGGER = 100;
class Job
{
    public static Ferry\\Worker \$worker;

    public function fire(\$job, \$number)
    {
        if (\$number === TRIGGER && \$job->attempts() === 1) {
            $end
        }
        \$job->delete();
        echo "\$number ", \$job->attempts(), "\\n";
    }
}
function reserved(): int
{
    return Ferry\\Queue::stats()['reserved'];
}
Ferry\\Queue::configure(['default' => 'redis', 'connections' => ['redis' => $server_config]]);
Job::\$worker = new Ferry\\Worker(['log' => 'none', 'prefetch' => 8, 'settle' => 'immediate', 'stop_when_empty' => true]);
exit(Job::\$worker->run());
PHP;

$push = function () use ($redis, $server): array {
    $redis->flushAll();
    Ferry\Queue::configure(['default' => 'redis', 'connections' => ['redis' => $server->config()]]);
    for ($number = 0; $number < JOBS; $number++) {
        Ferry\Queue::push('Job', $number);
    }
    return $redis->lRange('{queues:default}', 0, -1);
};

$slow = '$begun = microtime(true); while (reserved() > 1 && microtime(true) < $begun + 20) usleep(10000); fwrite(STDERR, reserved());';
foreach ([
    'stop()' => ['self::$worker->stop();', 0],
    'a pause and a signal' => ['self::$worker->pause(); pcntl_async_signals(true); pcntl_signal(SIGALRM, fn () => self::$worker->stop()); pcntl_alarm(1);', 0],
    'exit()' => ['$job->delete(); exit;', 13],
    'a slow job' => ["$slow self::\$worker->stop();", 0],
] as $end => [$handler, $exit]) {
    $pushed = $push();
    $child = Child::php($code($handler));
    same("$end: exit code", $exit, $child->wait());
    same("$end: order and bytes", array_slice($pushed, TRIGGER + 1), $redis->lRange('{queues:default}', 0, -1));
    same("$end: reserved", 0, $redis->zCard('{queues:default}:reserved'));
    if ($end === 'a slow job') {
        same("$end: what was held at its end", '1', $child->err());
    }
}

$push();
same('the end of a process that is killed', 128 + SIGKILL, Child::php($code('posix_kill(getmypid(), SIGKILL); sleep(60);'))->wait());
$held = $redis->zCard('{queues:default}:reserved');
check('no more than the prefetch was held', $held >= 1 && $held <= 8, $held);
wait_until(fn () => $redis->zRangeByScore('{queues:default}:reserved', '-inf', (string) time()) !== [], 'its leases end');
$second = Child::php($code('exit(1);'));
$second->wait();
$second = $second->out();
wait_until(function () use ($redis, $code, &$second) {
    $child = Child::php($code('exit(1);'));
    $child->wait();
    $second .= $child->out();
    return $redis->exists('{queues:default}', '{queues:default}:reserved', '{queues:default}:delayed') === 0;
}, 'every job is worked');
$runs = array_map(fn ($line) => explode(' ', $line), explode("\n", trim($second)));
$numbers = array_map('intval', array_column($runs, 0));
sort($numbers);
same('every job that was left ran once', range(TRIGGER, JOBS - 1), $numbers);
$again = array_filter($runs, fn ($run) => $run[1] !== '1');
same('jobs that lost an attempt', $held, count($again));
same('attempts of those', ['2'], array_values(array_unique(array_column($again, 1))));
done();
?>
--EXPECT--
ok
