--TEST--
push_buffer: flush(), a push to a full buffer, close(), pop() and a worker throw when jobs cannot be stored; those stay in the buffer, others are stored
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start();
$redis = $server->client();
Ferry\Queue::configure(['connections' => ['redis' => $server->config(['push_buffer' => 4])]]);
$connection = Ferry\Queue::connection();
$stored = fn (string $queue) => array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange("{queues:$queue}", 0, -1));

// A queue that the server refuses fails no other.
$redis->set('{queues:wrong}', 'text');
foreach (['a', 'wrong', 'b', 'wrong'] as $data => $queue) {
    $connection->push('Job1', $data, $queue);
}
$error = thrown(fn () => $connection->flush());
holds('flush() throws', 'Ferry\BrokerException: 2 of 4 buffered jobs of `redis` were not stored: push to `wrong`: ', $error);
holds('with the key', '{queues:wrong}', $error);
same('the others are stored', [[0], [2]], [$stored('a'), $stored('b')]);
holds('again', '2 of 2 buffered jobs', thrown(fn () => $connection->flush()));
$redis->del('{queues:wrong}');
same('what was refused is stored later', 2, $connection->flush());
same('in order', [1, 3], $stored('wrong'));

// Nobody answers.
$server->stop();
foreach (range(10, 13) as $data) {
    $connection->push('Job1', $data, 'a');
}
$throws = fn (string $what, callable $call) => holds("$what throws", 'Ferry\ConnectionException: ', thrown($call));
$throws('flush()', fn () => $connection->flush());
$throws('a push to a full buffer', fn () => $connection->push('Job1', 'refused', 'a'));
$throws('close()', fn () => $connection->close());
$throws('pop()', fn () => $connection->pop('a'));
$throws('size()', fn () => $connection->size('a'));
$throws('bulk()', fn () => $connection->bulk(['Job1'], 'refused', 'a'));
$worker = new Ferry\Worker(['connection' => 'redis', 'stop_when_empty' => true]);
$throws('a worker', fn () => $worker->run());
same('and does not run', false, $worker->isRunning());
$throws('process()', fn () => $worker->process());
// The flush before a fork fails too: the jobs stay with the parent, once.
same('a child has none of them', 0, reap(fork(fn () => $connection->flush())));

$again = RedisServer::startOn($server->port);
$redis = $again->client();
same('all are stored once the server is back', 4, $connection->flush());
same('in order, without those whose push threw', range(10, 13), $stored('a'));
done();
?>
--EXPECT--
ok
