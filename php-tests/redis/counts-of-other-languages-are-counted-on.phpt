--TEST--
Attempts written as "1" or 1.0 are counted on, as think-queue does, and a release leaves every other byte
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start();
foreach (['memory:', $server->dsn()] as $dsn) {
    $connection = new Ferry\Connection($dsn);
    foreach (['"1"' => '"2"', '1.0' => '2.0', '"9"' => '"10"', '9.00' => '10.00'] as $count => $raised) {
        $body = '{"job":"Job1","data":[],"id":"x","attempts":%s}';
        $connection->pushRaw(sprintf($body, $count), 'q');
        $job = $connection->pop('q');
        same("$dsn $count: attempts", 1 + (int) trim($count, '"'), $job->attempts());
        $job->release();
        same("$dsn $count: the body", sprintf($body, $raised), $connection->peek('q', 'delayed')[0] ?? $connection->peek('q')[0] ?? null);
        $connection->clear('q');
    }
}
done();
?>
--EXPECT--
ok
