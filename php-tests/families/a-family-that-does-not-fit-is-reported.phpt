--TEST--
A worker whose family nobody configured says so when an older application's jobs wait beside its empty queue
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/families.php';

use Ferry\Queue;
use Ferry\Worker;

$server = RedisServer::start();
$redis = $server->client();
$redis->rPush('queues:default', '{"job":"Job1","data":{"act":"delete"},"id":"x","attempts":1}');
$GLOBALS['handler_calls'] = [];

Queue::configure($server->dsn());
holds('pop()', 'set `family` to `think1`', thrown(fn () => Queue::pop()));
holds('the class', 'Ferry\ConfigException', thrown(fn () => Queue::pop()));

Queue::configure($server->dsn('family=think3'));
same('a family that is written down is believed', null, Queue::pop());

Queue::configure($server->dsn('family=think1'));
same('the right one works the job', 0, (new Worker(['once' => true, 'namespace' => 'app', 'log' => 'none']))->run());
same('once', [[1, ['act' => 'delete']]], $GLOBALS['handler_calls']);

$path = temp_dir() . '/jobs.sqlite';
(new PDO("sqlite:$path"))->exec('CREATE TABLE jobs (id INTEGER PRIMARY KEY, queue, payload, attempts, reserved, reserved_at, available_at, created_at)');
Queue::configure("sqlite:$path");
holds('a table', 'set `family` to `think1`', thrown(fn () => Queue::push('Job1')));
done();
?>
--EXPECT--
ok
