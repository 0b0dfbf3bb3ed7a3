--TEST--
A due time in the past, however far, is due at once on every driver
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start();
foreach (['memory:', 'sqlite:' . temp_dir() . '/jobs.sqlite', $server->dsn()] as $dsn) {
    $connection = new Ferry\Connection($dsn);
    foreach ([0, -1, -100000, PHP_INT_MIN, -9.1e18, new DateTime('1970-01-01 UTC'), new DateTime('0001-01-01 UTC'), new DateInterval('PT0S'), DateInterval::createFromDateString('-2 days')] as $at => $delay) {
        $connection->later($delay, 'Job1', $at);
        $job = $connection->pop();
        same("$dsn number $at", $at, $job?->payload('data'));
        $job?->delete();
        same("$dsn number $at is gone", 0, $connection->clear());
    }
    $connection->later(3600, 'Job1');
    same("$dsn: what is not due stays", null, $connection->pop());
}
done();
?>
--EXPECT--
ok
