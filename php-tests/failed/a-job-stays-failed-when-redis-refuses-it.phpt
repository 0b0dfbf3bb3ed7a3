--TEST--
A job that cannot become ready stays failed, whatever Redis refuses; two who retry at once get each job once
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

$server = RedisServer::start();
$redis = $server->client();
$jobs = 3000;
$record = fn (int $n) => json_encode([
    'id' => "id-$n", 'connection' => 'c', 'queue' => 'default', 'payload' => "{\"job\":\"J\",\"data\":$n,\"id\":\"x$n\",\"attempts\":5}",
    'reason' => 'exception', 'exception' => 'boom', 'attempts' => 5, 'failed_at' => 1700000000 + $n,
]);
// phpredis says that lPush() takes one value, which a debug PHP holds against it.
$redis->rawCommand('LPUSH', '{queues:default}:ferry:failed', ...array_map($record, range(1, $jobs)));

Queue::configure($server->dsn());
$redis->set('{queues:default}', 'somebody else\'s');
$error = thrown(fn () => Queue::retryFailed());
holds('refused', 'Ferry\\BrokerException: retry failed jobs of `default`', $error);
holds('which key', 'the key `{queues:default}` holds a string', $error);
holds('what to do', 'rename or remove that key, or choose another queue name', $error);
same('all are still failed', $jobs, $redis->lLen('{queues:default}:ferry:failed'));
$redis->del('{queues:default}');

$retriers = [fork(fn () => Queue::retryFailed() < 0), fork(fn () => Queue::retryFailed() < 0)];
same('both did well', [0, 0], array_map('reap', $retriers));
$ready = $redis->lRange('{queues:default}', 0, -1);
same('each once', $jobs, count(array_unique($ready)));
same('no more', $jobs, count($ready));
same('none is failed', 0, $redis->lLen('{queues:default}:ferry:failed'));
check('with fresh attempts', array_reduce($ready, fn ($all, $body) => $all && str_ends_with($body, '"attempts":0}'), true));
done();
?>
--EXPECT--
ok
