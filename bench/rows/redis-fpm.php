<?php

// Requests under php-fpm that push one job each, one after another. The whole request is timed, by a client that knows FastCGI; an empty
// request is beside it. A push is one command, and no connection is made.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';
require __DIR__ . '/../lib/fastcgi.php';

if (Fpm::program() === null) {
    answer(['title' => 'push in a request under php-fpm', 'unit' => 'us per request', 'values' => ['left out' => 'php-fpm is not installed']]);
    exit;
}

$requests = amount(1000, 50);
$redis = redis();
$script = dirname(__DIR__) . '/workers/push.php';
$dir = getenv('BENCH_DIR') . '/fpm';
mkdir($dir, 0700);
$fpm = Fpm::start($dir, 1);
$get = function (string $side) use ($fpm, $script) {
    $said = $fpm->get($script, "side=$side&port=" . getenv('BENCH_PORT'));
    $said === 'done' || fail("$side: $said");
};
/** What the server was asked and how often it was connected to. */
$seen = function () use ($redis) {
    preg_match('/calls=(\d+)/', $redis->info('commandstats')['cmdstat_rpush'] ?? '', $pushes);
    $stats = $redis->info('stats');
    return [(int) ($pushes[1] ?? 0), (int) $stats['total_commands_processed'], (int) $stats['total_connections_received']];
};
try {
    $sides = [];
    foreach (['Ferry\Queue::push' => 'ferry', 'phpredis pconnect, payload, rPush' => 'pconnect', 'an empty request' => 'none'] as $who => $side) {
        $get($side);
        $before = [];
        $prepare = function () use ($redis, $seen, &$before) {
            $redis->flushAll();
            $before = $seen();
        };
        $work = function () use ($get, $side, $requests) {
            for ($n = 0; $n < $requests; $n++) {
                $get($side);
            }
        };
        $check = function () use ($redis, $seen, &$before, $who, $side, $requests) {
            $jobs = $side === 'none' ? 0 : $requests;
            expect_queue($redis, $jobs, 0, $who);
            if ($side === 'ferry') {
                // Two commands of ours are INFO, before and now; two more look at the queue.
                [$pushes, $commands, $connections] = array_map(fn ($now, $then) => $now - $then, $seen(), $before);
                expect($requests, $pushes, "$who: RPUSH");
                expect($requests + 4, $commands, "$who: commands");
                expect(0, $connections, "$who: connections");
            }
        };
        $sides[$who] = [$prepare, $work, $check];
    }
    $rounds = interleaved($sides, amount(7, 1), $requests);
} finally {
    $fpm->stop();
    remove_directory($dir);
}
answer(['title' => 'push in a request under php-fpm', 'unit' => 'us per request', 'rounds' => $rounds]);
