<?php

// Pushes into the buffer of the process: what the caller waits for in push, and what it costs with the flush behind.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';

$pushes = amount(3000, 1000);
$redis = redis();
$ready_made = think_payload(\BenchJob::class, DATA);
$connection = ['type' => 'redis', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'queue' => QUEUE];
\Ferry\Queue::configure(['default' => 'redis', 'connections' => ['redis' => $connection + ['push_buffer' => $pushes]]]);

$push = function () use ($pushes) {
    for ($n = 0; $n < $pushes; $n++) {
        \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE);
    }
};
$flush = fn () => \Ferry\Queue::flush();
$push_and_flush = function () use ($push, $flush) {
    $push();
    $flush();
};
$peer = function () use ($pushes, $redis, $ready_made) {
    for ($n = 0; $n < $pushes; $n++) {
        $redis->rPush(KEY, $ready_made);
    }
};

$empty = fn () => $redis->flushAll();
$check = fn (string $who) => fn () => expect_queue($redis, $pushes, 0, $who);
$flush_and_check = function () use ($redis, $pushes, $flush) {
    expect_queue($redis, 0, 0, 'before the flush');
    $flush();
    expect_queue($redis, $pushes, 0, 'after the flush');
};
$sides = [
    'Ferry\Queue::push into the buffer' => [$empty, $push, $flush_and_check],
    'Ferry\Queue::push into the buffer, and the flush' => [$empty, $push_and_flush, $check('push and flush')],
    'phpredis rPush of a ready-made payload' => [$empty, $peer, $check('phpredis')],
];
answer(['title' => 'push into the buffer', 'unit' => 'us per push', 'rounds' => interleaved($sides, amount(15, 1), $pushes)]);
