<?php

// What the Redis rows share: one server, one queue, both clients on it.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/row.php';
require __DIR__ . '/think.php';
require __DIR__ . '/handler.php';
require __DIR__ . '/redis_peers.php';

const QUEUE = 'bench';
const KEY = '{queues:bench}';

/** The server's Unix socket. */
function socket_path(): string
{
    return getenv('BENCH_DIR') . '/redis/redis.sock';
}

function redis(bool $unix = false): \Redis
{
    $redis = new \Redis();
    $unix ? $redis->connect(socket_path()) : $redis->connect('127.0.0.1', (int) getenv('BENCH_PORT'));
    return $redis;
}

function configure_ferry(): void
{
    $connection = ['type' => 'redis', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'queue' => QUEUE];
    \Ferry\Queue::configure(['default' => 'redis', 'connections' => [
        'redis' => $connection,
        'tracked' => $connection + ['track' => true],
        'unix' => ['type' => 'redis', 'host' => socket_path(), 'queue' => QUEUE],
    ]]);
}

/** Stores ready jobs without being measured. */
function fill(\Redis $redis, int $jobs, string $job): void
{
    for ($stored = 0; $stored < $jobs; $stored += 500) {
        $payloads = [];
        for ($n = $stored; $n < min($stored + 500, $jobs); $n++) {
            $payloads[] = think_payload($job, DATA);
        }
        $redis->rPush(KEY, ...$payloads);
    }
}

/** Checks that a queue is as it should be, ready and reserved. */
function expect_queue(\Redis $redis, int $ready, int $reserved, string $who): void
{
    expect($ready, $redis->lLen(KEY), "$who: jobs ready");
    expect($reserved, $redis->zCard(KEY . ':reserved'), "$who: jobs reserved");
}
