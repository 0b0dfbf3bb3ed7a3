--TEST--
A job that does not leave when it is made to ends its process with 14, settled, its neighbours given back
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

$worker = <<<'PHP'
class Fast
{
    public function fire($job, $data)
    {
        $job->delete();
    }
}

class Stuck
{
    public function fire($job, $data)
    {
        [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        stream_set_timeout($a, 60);
        echo "stuck\n";
        fread($a, 1); // goes on reading after a signal
    }
}
exit((new Ferry\Worker(['tries' => 2, 'delay' => 0, 'timeout' => 0.3, 'grace' => 0.3, 'log' => 'none']))->run());
PHP;

$server = RedisServer::start();
Queue::configure($server->dsn());
$env = ['FERRY_URL' => $server->dsn()];

Queue::bulk(array_fill(0, 40, 'Fast'));
Queue::push('Stuck');
Queue::bulk(array_fill(0, 20, 'Fast'));
foreach ([1, 2] as $attempt) {
    $child = Child::php($worker, [], $env);
    same("exit code of attempt $attempt", 14, $child->wait());
    holds('it says why', 'a job did not leave', $child->err());
    if ($attempt === 1) {
        same('released as a failed attempt', 1, Queue::stats()['delayed']);
        same('nothing else is held', 0, Queue::stats()['reserved']);
    }
}
$stats = Queue::stats();
same('nothing is held', 0, $stats['reserved']);
same('the stuck one lies in the failed store', 1, $stats['failed']);
$failed = Queue::connection()->failed()[0];
same('reason', ['timeout', 2], [$failed['reason'], $failed['attempts']]);
$left = array_map(fn ($body) => json_decode($body, true)['attempts'], Queue::connection()->peek(limit: 100));
same('no neighbour lost an attempt', [], array_filter($left));
done();
?>
--EXPECT--
ok
