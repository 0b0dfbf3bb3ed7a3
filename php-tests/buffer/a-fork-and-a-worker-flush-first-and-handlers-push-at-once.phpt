--TEST--
push_buffer: fork and worker flush first, a child begins with an empty buffer, and what a handler pushes is stored before its job is deleted
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start();
$redis = $server->client();
Ferry\Queue::configure(['connections' => ['redis' => $server->config(['push_buffer' => 100])]]);
$connection = Ferry\Queue::connection();
$stored = fn (string $queue) => array_map(fn ($payload) => json_decode($payload, true)['data'], $server->client()->lRange("{queues:$queue}", 0, -1));

$connection->push('Job1', 'before', 'fork');
$child = fork(function () use ($connection, $stored) {
    $first = $connection->flush();
    $connection->push('Job1', 'child', 'fork');
    // The end of the child flushes.
    return $first;
});
same('the child inherits no job', 0, reap($child));
same('each is stored once, that of before first', ['before', 'child'], $stored('fork'));
$connection->push('Job1', 'after', 'fork');
same('the parent goes on', [1, ['before', 'child', 'after']], [$connection->flush(), $stored('fork')]);

// A child that is killed at once takes nothing with it.
$connection->push('Job1', 'kept', 'fork');
reap(fork(fn () => posix_kill(getmypid(), SIGKILL)));
same('stored before the fork', 'kept', $stored('fork')[3]);

final class Handler
{
    public static array $seen = [];

    public function fire(Ferry\Job $job, string $data): void
    {
        if ($data === 'first') {
            Ferry\Queue::push('Handler', 'follow-up', 'work');
            self::$seen[] = Closure::fromCallable('look')();
        }
        self::$seen[] = $data;
        $job->delete();
    }
}
function look(): int
{
    return $GLOBALS['redis']->lLen('{queues:work}');
}

$connection->push('Handler', 'first', 'work');
same('nothing is stored yet', 0, look());
$worker = new Ferry\Worker(['connection' => 'redis', 'queue' => 'work', 'stop_when_empty' => true, 'log' => 'none']);
same('the worker', 0, $worker->run());
same('works what was buffered before it began, and a follow-up is stored in its handler', [1, 'first', 'follow-up'], Handler::$seen);

Handler::$seen = [];
$connection->push('Handler', 'first', 'work');
same('process()', [true, [1, 'first']], [$worker->process(), Handler::$seen]);
$connection->push('Handler', 'later', 'work');
same('buffered again behind it', 1, look());
$connection->flush();
same('flushed', 2, look());

// A handler outside a worker: its job is deleted when its follow-up is stored, also on another connection.
$other = new Ferry\Connection($server->config(['push_buffer' => 100]), 'other');
$job = $connection->pop('work');
$other->push('Job1', 'by another connection', 'elsewhere');
$job->delete();
same('stored before the deletion', ['by another connection'], $stored('elsewhere'));
$redis->set('{queues:wrong}', 'text');
$job = $connection->pop('work');
$other->push('Job1', 1, 'wrong');
holds('a follow-up that is refused', 'Ferry\BrokerException: ', thrown(fn () => $job->delete()));
same('leaves its job reserved', 1, $connection->stats('work')['reserved']);
$redis->del('{queues:wrong}');
$job->delete();
same('until it is stored', [0, [1]], [$connection->stats('work')['reserved'], $stored('wrong')]);
done();
?>
--EXPECT--
ok
