--TEST--
A push whose answer is lost is uncertain, one that was never sent is not, and killed links are made again
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';
require __DIR__ . '/../support/proxy.php';

$server = RedisServer::start();
$redis = $server->client();
$proxy = Proxy::before($server->port);
$connection = new Ferry\Connection("redis://127.0.0.1:{$proxy->port}");

// The answer is lost: the job is stored.
// The server knows the scripts from the first call on.
$connection->later(60, 'Job0');
foreach (['push' => ['Job1', 'x'], 'bulk' => [['Job1'], 'x'], 'later' => [60, 'Job1', 'x']] as $method => $arguments) {
    $connection->clear();
    $proxy->dropReply('"job":"Job1"');
    $said = thrown(fn () => $connection->$method(...$arguments));
    holds("$method: uncertain", 'Ferry\UncertainException: ', $said);
    holds("$method: says what it means", 'may or may not be stored', $said);
    check("$method: it is a BrokerException", is_a(Ferry\UncertainException::class, Ferry\BrokerException::class, true));
    same("$method: the job is stored", 1, $connection->size());
    check("$method: the next one works", $connection->push('Job1') !== '');
}

// The request never arrived: nobody can know, so it is uncertain too, and nothing is stored twice.
$connection->clear();
$proxy->dropRequest('"job":"Job1"');
holds('a lost request', 'Ferry\UncertainException: ', thrown(fn () => $connection->push('Job1', 'y')));
same('nothing is stored', 0, $connection->size());

// What only reads is repeated without a word.
$proxy->dropReply('LLEN');
same('size', 0, $connection->size());
check('the link was cut', $proxy->isDone());

// Links that the server closed between two calls are replaced before anything is sent.
foreach (range(1, 5) as $round) {
    $redis->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    check("round $round: push", is_string($connection->push('Job1', $round)));
    $redis->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $job = $connection->pop();
    same("round $round: pop", $round, $job?->payload('data'));
    $redis->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $job?->delete();
    same("round $round: deleted", 0, $connection->size());
}

// The server is gone, then back with its jobs gone, as any Redis without persistence.
$lonely = RedisServer::start();
$second = new Ferry\Connection($lonely->dsn('timeout=1'));
$second->push('Job1');
$lonely->stop();
$said = thrown(fn () => $second->push('Job1'));
check('gone', str_starts_with($said, 'Ferry\ConnectionException') || str_starts_with($said, 'Ferry\UncertainException'), $said);
holds('gone', 'Ferry\ConnectionException', thrown(fn () => $second->push('Job1')));
done();
?>
--EXPECT--
ok
