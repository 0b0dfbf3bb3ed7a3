<?php

// One request under php-fpm that pushes one job to Redis over a connection that its child keeps. `side` says by which client.

declare(strict_types=1);

$port = (int) $_GET['port'];
switch ($_GET['side']) {
    case 'ferry':
        Ferry\Queue::configure(['connections' => ['redis' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $port]]]);
        Ferry\Queue::push('BenchJob', ['to' => 'ada@example.com', 'subject' => 'Hello'], 'bench');
        break;
    case 'pconnect':
        $redis = new Redis();
        $redis->pconnect('127.0.0.1', $port);
        $id = bin2hex(random_bytes(16));
        $redis->rPush('{queues:bench}', json_encode(['job' => 'BenchJob', 'maxTries' => null, 'timeout' => null, 'data' => ['to' => 'ada@example.com', 'subject' => 'Hello'], 'id' => $id, 'attempts' => 1]));
        break;
}
echo 'done';
