<?php

// From push to fire, with a worker that waits idle.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/redis_row.php';
require __DIR__ . '/../lib/fire.php';

$redis = redis();
$think = new ThinkRedis($redis, KEY);
configure_ferry();
$by_ferry = fn (array $data) => \Ferry\Queue::push(\TimedJob::class, $data, QUEUE);
$by_think = fn (array $data) => $think->push(\TimedJob::class, $data);

$samples = [];
$samples['Ferry\Worker'] = push_to_fire('ferry-redis', $by_ferry, amount(400, 20), 20, 50);
$samples["think-queue's loop, block_for 1"] = push_to_fire('think-redis-block', $by_think, amount(400, 20), 20, 50);
if (!is_small()) {
    // Pauses beyond one sleep, so that every job meets a sleeping worker at a random moment.
    $samples["think-queue's loop, sleep 3 (its default)"] = push_to_fire('think-redis-sleep', $by_think, 12, 100, 3100);
}
expect_queue($redis, 0, 0, 'after all');
answer([
    'title' => 'from push to fire, worker idle',
    'unit' => 'us',
    'samples' => $samples,
    'values' => ['expected mean of sleep 3' => '1,500,000 us'],
]);
