--TEST--
A worker outlives a broker that restarts, says so in one line each way, and leaves with 15 when it stays away
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

$worker = <<<'PHP'
class Counts
{
    public function fire($job, $data)
    {
        echo "did $data\n";
        $job->delete();
    }
}
exit((new Ferry\Worker(['log' => 'none', 'max_outage' => 2, 'health_file' => getenv('HEALTH')]))->run());
PHP;

$server = RedisServer::start();
$health = temp_dir() . '/health';
Queue::configure($server->dsn());
Queue::push('Counts', 1);
$child = Child::php($worker, [], ['FERRY_URL' => $server->dsn(), 'HEALTH' => $health]);
$child->says('did 1');
wait_until(fn () => file_exists($health), 'the health file is there');
same('it names the process', $child->pid, (int) file_get_contents($health));

$server->stop();
wait_until(fn () => str_contains($child->err(), 'trying again'), 'the worker misses its broker');
$again = RedisServer::startOn($server->port);
wait_until(fn () => str_contains($child->err(), 'answers again'), 'the worker is back');
Queue::push('Counts', 2);
$child->says('did 2');
// Deletions are sent a little later, and one that is cut off would have a line of its own.
wait_until(fn () => Queue::size() === 0, 'the deletion has arrived');
same('one line for the outage', 1, substr_count($child->err(), 'trying again'));

$again->stop();
same('it gives up in the end', 15, $child->wait());
same('one line for the second outage', 2, substr_count($child->err(), 'trying again'));
same('and one for the end', 1, preg_match_all('/; the worker stops$/m', $child->err()));
check('the health file is gone', !file_exists($health));
done();
?>
--EXPECT--
ok
