--TEST--
Jobs that kill their process use no try of the jobs held beside them: only the killers end in the failed store
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

$worker = <<<'PHP'
class Innocent
{
    public function fire($job, $data)
    {
        file_put_contents(getenv('DONE'), "$data\n", FILE_APPEND);
        $job->delete();
    }
}

class Killer
{
    public function fire($job, $data)
    {
        posix_kill(getmypid(), SIGKILL);
    }
}
exit((new Ferry\Worker(['log' => 'none', 'tries' => 2, 'delay' => 0, 'stop_when_empty' => true]))->run());
PHP;

$server = RedisServer::start();
Queue::configure($server->dsn('retry_after=2'));
$env = ['FERRY_URL' => $server->dsn('retry_after=2'), 'DONE' => temp_dir() . '/done'];
const JOBS = 2000;
for ($n = 0; $n < JOBS; $n++) {
    Queue::push($n % 500 === 250 ? 'Killer' : 'Innocent', $n);
}
$children = [];
wait_until(function () use (&$children, $worker, $env) {
    $children = array_filter($children, fn ($child) => $child->isRunning());
    while (count($children) < 4) {
        $children[] = Child::php($worker, [], $env);
    }
    return Queue::size() === 0;
}, 'all jobs have ended', 60);
$done = file($env['DONE'], FILE_IGNORE_NEW_LINES);
same('every innocent job is done', JOBS - 4, count(array_unique($done)));
$failed = Queue::connection()->failed();
same('the killers are in the failed store', 4, count($failed));
same('and nobody else', ['Killer'], array_values(array_unique(array_map(fn ($job) => json_decode($job['payload'])->job, $failed))));
// Deleted but not yet sent when its worker was killed: 64 that waited and 64 on their way may run again.
check('few ran twice', count($done) - count(array_unique($done)) <= 8 * 128, count($done) - count(array_unique($done)));
done();
?>
--EXPECT--
ok
