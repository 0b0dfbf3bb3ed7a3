<?php

// A full queue, worked until it is empty by a handler that deletes.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';

/** Commands in one pipeline of redis-benchmark. */
const RAW_PIPELINE = 64;

/**
 * Commands a second of the server itself, over one connection. `$requests` is a multiple of the pipeline: redis-benchmark gives up when its
 * timer finds all connections closed and a number of answers that is not the one asked for.
 */
function raw_rate(int $requests, string ...$command): float
{
    $port = getenv('BENCH_PORT');
    $options = ['redis-benchmark', '-p', $port, '-c', '1', '-P', (string) RAW_PIPELINE, '-n', (string) $requests, '-r', '1000000', '--csv', ...$command];
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

/** Microseconds of a script that takes a job, reserves it and deletes it at once. */
function raw_script(\Redis $redis, int $jobs): float
{
    $redis->flushAll();
    fill($redis, $jobs, \BenchJob::class);
    $script = "local job = redis.call('LPOP', KEYS[1]) if not job then return 0 end redis.call('ZADD', KEYS[2], 1, job) return redis.call('ZREM', KEYS[2], job)";
    $seconds = 1 / raw_rate($jobs, 'EVAL', $script, '2', KEY, KEY . ':reserved');
    expect_queue($redis, 0, 0, 'redis-benchmark EVAL');
    return 1e6 * $seconds;
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
    'Ferry\Worker, prefetch 1' => $ferry(['prefetch' => 1]),
    'Ferry\Worker, prefetch 1, settle immediate' => $ferry(['prefetch' => 1, 'settle' => 'immediate']),
    'Ferry\Worker, prefetch 1, settle immediate, Unix socket' => $ferry(['prefetch' => 1, 'settle' => 'immediate', 'connection' => 'unix']),
    "think-queue's commands on phpredis" => function () use ($think) {
        while ($think->work());
    },
];
foreach ($sides as $who => $work) {
    $sides[$who] = [$prepare, $work, $check($who)];
}
$ids = [];
$prepare_tracked = function () use ($redis, $jobs, &$ids) {
    $redis->flushAll();
    $ids = [];
    while (count($ids) < $jobs) {
        array_push($ids, ...\Ferry\Queue::connection('tracked')->bulk(array_fill(0, 1000, \BenchJob::class), DATA, QUEUE));
    }
    \BenchJob::$done = 0;
};
$check_tracked = function () use ($check, $jobs, &$ids) {
    $check('track')();
    $succeeded = array_filter($ids, fn ($id) => \Ferry\Status::find($id, 'tracked')?->state === 'succeeded');
    expect($jobs, count($succeeded), 'track: jobs whose status says succeeded');
};
$sides['Ferry\Worker, track'] = [$prepare_tracked, $ferry(['connection' => 'tracked']), $check_tracked];
$operations = array_fill_keys(array_keys($sides), $jobs);
foreach (installed_peers() as $who => $peer) {
    // They are slow enough for fewer to be enough.
    $operations[$who] = intdiv($jobs, 4);
    $sides[$who] = peer_that_drains($peer, $who, $operations[$who]);
}
$rounds = interleaved($sides, amount(7, 1), $operations);
$raw_jobs = amount(800, 160) * RAW_PIPELINE;
$raw = array_map(fn () => raw_sequence($redis, $raw_jobs), range(1, amount(5, 2)));
$rounds['redis-benchmark -P 64: LPOP + ZADD + ZREM'] = $raw;
$rounds['redis-benchmark -P 64: EVAL of these three'] = array_map(fn () => raw_script($redis, $raw_jobs), range(1, amount(5, 2)));
answer(['title' => 'work a full queue', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => missing_peers()]);
