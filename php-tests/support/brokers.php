<?php
// Every broker a test can run on, empty, by name.

require_once __DIR__ . '/redis.php';

/** @return iterable<string, array> name => the settings of a connection */
function brokers(array $more = []): iterable
{
    yield 'memory' => ['type' => 'memory'] + $more;
    yield 'sqlite' => ['type' => 'sqlite', 'path' => temp_dir() . '/jobs-' . bin2hex(random_bytes(4)) . '.sqlite'] + $more;
    $server = RedisServer::start();
    yield 'redis' => $server->config($more);
}

/** Makes this the default connection. */
function use_broker(array $config): Ferry\Connection
{
    Ferry\Queue::configure(['default' => 'broker', 'connections' => ['broker' => $config]]);
    $connection = Ferry\Queue::connection();
    $connection->clear();
    return $connection;
}
