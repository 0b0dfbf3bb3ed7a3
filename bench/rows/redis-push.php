<?php

// One job a push, one round trip each.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';

$pushes = amount(3000, 1000);
$redis = redis();
$unix = redis(unix: true);
$think = new ThinkRedis($redis, KEY);
configure_ferry();
$ready_made = think_payload(\BenchJob::class, DATA);

$empty = fn () => $redis->flushAll();
$check = fn (string $who) => fn () => expect_queue($redis, $pushes, 0, $who);
$sides = [
    'Ferry\Queue::push' => function () use ($pushes) {
        for ($n = 0; $n < $pushes; $n++) {
            \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE);
        }
    },
    'phpredis rPush of a ready-made payload' => function () use ($pushes, $redis, $ready_made) {
        for ($n = 0; $n < $pushes; $n++) {
            $redis->rPush(KEY, $ready_made);
        }
    },
    'think-queue on phpredis: payload, id, rPush' => function () use ($pushes, $think) {
        for ($n = 0; $n < $pushes; $n++) {
            $think->push(\BenchJob::class, DATA);
        }
    },
    'Ferry\Queue::push, Unix socket' => function () use ($pushes) {
        $unix = \Ferry\Queue::connection('unix');
        for ($n = 0; $n < $pushes; $n++) {
            $unix->push(\BenchJob::class, DATA, QUEUE);
        }
    },
    'phpredis rPush of a ready-made payload, Unix socket' => function () use ($pushes, $unix, $ready_made) {
        for ($n = 0; $n < $pushes; $n++) {
            $unix->rPush(KEY, $ready_made);
        }
    },
    'Ferry\Queue::push, track' => function () use ($pushes) {
        $tracked = \Ferry\Queue::connection('tracked');
        for ($n = 0; $n < $pushes; $n++) {
            $tracked->push(\BenchJob::class, DATA, QUEUE);
        }
    },
];
foreach ($sides as $who => $work) {
    $sides[$who] = [$empty, $work, $check($who)];
}
foreach (installed_peers() as $who => $peer) {
    $sides[$who] = peer_that_pushes($peer, $who, $pushes);
}
$rounds = interleaved($sides, amount(15, 1), $pushes);
answer(['title' => 'push one job', 'unit' => 'us per push', 'rounds' => $rounds, 'values' => missing_peers()]);
