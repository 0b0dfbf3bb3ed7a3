<?php

// A full queue, worked until it is empty by a handler that deletes.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';

/** Commands a second of the server itself, one connection, 64 in a pipeline. */
function raw_rate(int $requests, string ...$command): float
{
    $port = getenv('BENCH_PORT');
    $options = ['redis-benchmark', '-p', $port, '-c', '1', '-P', '64', '-n', (string) $requests, '-r', '1000000', '--csv', ...$command];
    $csv = shell_exec(implode(' ', array_map('escapeshellarg', placed((bool) getenv('BENCH_BOUND'), $options))));
    $fields = str_getcsv(strrchr(rtrim((string) $csv), "\n") ?: '');
    return (float) ($fields[1] ?? 0) ?: throw new \RuntimeException("redis-benchmark said: $csv");
}

/** Microseconds of LPOP + ZADD + ZREM. Members are a payload's size; nine ZREM of ten find theirs. */
function raw_sequence(\Redis $redis, int $jobs): float
{
    $member = str_pad('', strlen(think_payload(\BenchJob::class, DATA)) - 12, 'x');
    $redis->flushAll();
    fill($redis, $jobs, \BenchJob::class);
    $seconds = 1 / raw_rate($jobs, 'LPOP', KEY);
    expect(0, $redis->lLen(KEY), 'redis-benchmark LPOP: jobs left');
    $seconds += 1 / raw_rate($jobs, 'ZADD', KEY . ':reserved', '1', "__rand_int__$member");
    $redis->del(KEY . ':reserved');
    for ($n = 0; $n < 1_000_000 / 10; $n += 1000) {
        $members = [];
        for ($m = $n; $m < $n + 1000; $m++) {
            array_push($members, 1, sprintf("%012d$member", $m));
        }
        $redis->zAdd(KEY . ':reserved', ...$members);
    }
    return 1e6 * ($seconds + 1 / raw_rate($jobs, 'ZREM', KEY . ':reserved', "__rand_int__$member"));
}

$jobs = amount(20_000, 5_000);
$redis = redis();
$think = new ThinkRedis($redis, KEY);
configure_ferry();

$prepare = function () use ($redis, $jobs) {
    $redis->flushAll();
    fill($redis, $jobs, \BenchJob::class);
    \BenchJob::$done = 0;
};
$check = fn (string $who) => function () use ($redis, $jobs, $who) {
    expect($jobs, \BenchJob::$done, "$who: jobs worked");
    expect_queue($redis, 0, 0, $who);
};
$ferry = fn (array $options) => function () use ($options) {
    (new \Ferry\Worker($options + ['queue' => QUEUE, 'stop_when_empty' => true, 'log' => 'none']))->run();
};
$sides = [
    'Ferry\Worker' => $ferry([]),
    'Ferry\Worker, prefetch 256' => $ferry(['prefetch' => 256]),
    'Ferry\Worker, prefetch 1, settle immediate' => $ferry(['prefetch' => 1, 'settle' => 'immediate']),
    "think-queue's commands on phpredis" => function () use ($think) {
        while ($think->work());
    },
];
foreach ($sides as $who => $work) {
    $sides[$who] = [$prepare, $work, $check($who)];
}
$operations = array_fill_keys(array_keys($sides), $jobs);
foreach (installed_peers() as $who => $peer) {
    // They are slow enough for fewer to be enough.
    $operations[$who] = intdiv($jobs, 4);
    $sides[$who] = peer_that_drains($peer, $who, $operations[$who]);
}
$rounds = interleaved($sides, amount(7, 1), $operations);
$raw = array_map(fn () => raw_sequence($redis, amount(50_000, 10_000)), range(1, amount(5, 2)));
$rounds['redis-benchmark -P 64: LPOP + ZADD + ZREM'] = $raw;
answer(['title' => 'work a full queue', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => missing_peers()]);
