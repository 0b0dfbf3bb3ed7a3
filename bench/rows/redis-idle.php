<?php

// An idle worker: CPU, connections, threads, memory.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';
require __DIR__ . '/../lib/fire.php';
require __DIR__ . '/../lib/idle.php';

/** Costs of one kind of worker, after its first job. */
function cost_of(string $kind, string $name, \Redis $redis, int $seconds): array
{
    $others = count($redis->client('LIST'));
    $worker = IdleWorker::start($kind, (bool) getenv('BENCH_BOUND'));
    (new ThinkRedis($redis, KEY))->push(\TimedJob::class, ['pushed' => hrtime(true)]);
    $worker->wait_for_dot();
    sleep(1);
    $cost = idle_cost([$name => $worker->pid(), "redis-server with $name" => (int) getenv('BENCH_SERVER_PID')], $seconds);
    $cost["$name, connections"] = (string) (count($redis->client('LIST')) - $others);
    $cost["$name, threads"] = (string) threads($worker->pid());
    $cost["$name, resident"] = resident_mebibytes($worker->pid());
    $worker->stop();
    return $cost;
}

$redis = redis();
$seconds = amount(12, 2);
$cost = idle_cost(['redis-server alone' => (int) getenv('BENCH_SERVER_PID')], $seconds);
$cost += cost_of('ferry-redis', 'Ferry\Worker', $redis, $seconds);
if (!is_small()) {
    $cost += cost_of('think-redis-block', 'think-queue, block_for 1', $redis, $seconds);
    $cost += cost_of('think-redis-sleep', 'think-queue, sleep 3', $redis, $seconds);
}
answer(['title' => "an idle worker, watched for $seconds s", 'unit' => '', 'values' => $cost]);
