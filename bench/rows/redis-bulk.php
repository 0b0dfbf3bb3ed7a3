<?php

// A thousand jobs at once.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';

const JOBS = 1000;

$calls = amount(10, 3);
$redis = redis();
configure_ferry();
$tracked = \Ferry\Queue::connection('tracked');
$names = array_fill(0, JOBS, \BenchJob::class);
$ready_made = array_map(fn ($name) => think_payload($name, DATA), $names);

$pipeline = function (iterable $payloads) use ($redis) {
    $pipe = $redis->multi(\Redis::PIPELINE);
    foreach ($payloads as $payload) {
        $pipe->rPush(KEY, $payload);
    }
    $pipe->exec();
};
$built = function () use ($names) {
    foreach ($names as $name) {
        yield think_payload($name, DATA);
    }
};
$once = [
    'Ferry\Queue::bulk of 1,000' => fn () => \Ferry\Queue::bulk($names, DATA, QUEUE),
    'phpredis pipeline of ready-made payloads' => fn () => $pipeline($ready_made),
    'phpredis pipeline, payloads built as think-queue' => fn () => $pipeline($built()),
    'phpredis one rPush of 1,000 ready-made payloads' => fn () => $redis->rPush(KEY, ...$ready_made),
    'Ferry\Queue::bulk of 1,000, track' => fn () => $tracked->bulk($names, DATA, QUEUE),
];
$sides = [];
foreach ($once as $who => $call) {
    $work = function () use ($call, $calls) {
        for ($n = 0; $n < $calls; $n++) {
            $call();
        }
    };
    $sides[$who] = [fn () => $redis->flushAll(), $work, fn () => expect_queue($redis, $calls * JOBS, 0, $who)];
}
answer(['title' => 'push 1,000 jobs at once', 'unit' => 'us per job', 'rounds' => interleaved($sides, amount(15, 1), $calls * JOBS)]);
