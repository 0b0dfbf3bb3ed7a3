--TEST--
Connections come from an array, a DSN, the environment or ini, in that order
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Connection;
use Ferry\Queue;

function queue_used(Connection $connection): string
{
    $connection->push('Job1');
    $job = $connection->pop();
    $job->delete();
    return $job->getQueue();
}

$child = Child::php('Ferry\Queue::push("Job1"); echo Ferry\Queue::pop()->getQueue();', ['-d', 'ferry.url="memory:?queue=from-ini"']);
same('ini', 'from-ini', $child->wait() === 0 ? $child->out() : $child->err());
Queue::configure('memory:?queue=from-dsn');
same('configure() wins', 'from-dsn', queue_used(Queue::connection()));

$child = Child::php('Ferry\Queue::push("Job1"); echo Ferry\Queue::pop()->getQueue();', ['-d', 'ferry.url="memory:?queue=from-ini"'], ['FERRY_URL' => 'memory:?queue=from-environment']);
same('the environment wins over ini', 'from-environment', $child->wait() === 0 ? $child->out() : $child->err());
$child = Child::php('Ferry\Queue::push("Job1");');
$child->wait();
holds('none at all', 'no connection is configured', $child->err() . $child->out());

// Two connections beside each other, by name.
$server = RedisServer::start();
Queue::configure(['default' => 'b', 'connections' => [
    'a' => ['type' => 'Redis', 'host' => '127.0.0.1', 'port' => (string) $server->port, 'select' => 1, 'queue' => 'qa', 'password' => '', 'persistent' => false, 'timeout' => 0],
    'b' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $server->port, 'queue' => 'qb', 'retry_after' => 90, 'block_for' => null],
    'c' => ['type' => 'database', 'connection' => null, 'table' => 'jobs'],
    'd' => ['url' => $server->dsn('db=1&queue=qd')],
], 'failed' => ['type' => 'none', 'table' => 'failed_jobs']]);
same('names', ['a', 'b', 'd'], array_map(fn ($name) => Queue::connection($name)->getName(), ['a', null, 'd']));
Queue::connection('a')->push('Job1', 'in a');
Queue::push('Job1', 'in b');
same('they do not share jobs', [1, 1], [Queue::connection('a')->size(), Queue::size()]);
same('the same server and database, another name', 1, Queue::connection('d')->size('qa'));
$redis = $server->client();
$redis->select(1);
same('select', 1, $redis->lLen('{queues:qa}'));
holds('a connection that lacks something is an error when it is used', 'connection `c`', thrown(fn () => Queue::connection('c')->size()));
holds('no such connection', 'configured are', thrown(fn () => Queue::connection('zzz')));
holds('a name in bad UTF-8', 'not configured', thrown(fn () => Queue::connection("\xff")));

// A connection of one's own.
same('by array', 'qx', queue_used(new Connection(['type' => 'redis', 'host' => '127.0.0.1', 'port' => $server->port, 'queue' => 'qx'])));
same('by DSN', 'qy', queue_used(new Connection($server->dsn('queue=qy'))));
same('its name', 'default', (new Connection('memory:'))->getName());
same('the name it is given', ['mail', 'mail'], [(new Connection('memory:', 'mail'))->getName(), (new Connection(['type' => 'memory'], 'mail'))->getName()]);
holds('an empty name', 'a connection has an empty name', thrown(fn () => new Connection(['type' => 'memory'], '')));
$named = new Connection('memory:?queue=named', 'mail');
$named->push('Job1');
same('its jobs tell it', 'mail', $named->pop()->getConnection());
same('a worker on it', 0, (new Ferry\Worker(['connection' => new Connection($server->dsn()), 'stop_when_empty' => true]))->run());

// A flat array of think-queue v1 is understood, with the keys of that family.
Queue::configure(['connector' => 'Redis', 'expire' => 60, 'default' => 'flat', 'host' => '127.0.0.1', 'port' => $server->port]);
Queue::push('Job1');
same('v1', 1, $server->client()->lLen('queues:flat'));
// Configuring anew forgets the old names, and does not disturb objects that exist.
$old = new Connection('memory:?queue=kept');
Queue::configure('memory:');
holds('forgotten', 'not configured', thrown(fn () => Queue::connection('a')));
same('kept', 'kept', queue_used($old));
done();
?>
--EXPECT--
ok
