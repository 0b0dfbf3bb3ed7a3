<?php

// From push to fire, with a worker that waits idle.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/sqlite_row.php';
require __DIR__ . '/../lib/fire.php';

configure_ferry();
$think = ThinkSqlite::open(file_of('think'), 'DELETE');
$think->clear();
$by_ferry = fn (array $data) => \Ferry\Queue::push(\TimedJob::class, $data, QUEUE);
$by_think = fn (array $data) => $think->push(\TimedJob::class, $data);

$samples = [];
$samples['Ferry\Worker'] = push_to_fire('ferry-sqlite', $by_ferry, amount(400, 20), 20, 50);
if (!is_small()) {
    $samples["think-queue's loop, sleep 3 (its default)"] = push_to_fire('think-sqlite-sleep', $by_think, 8, 100, 3100);
}
expect(0, \Ferry\Queue::size(QUEUE), 'Ferry: jobs left');
expect(0, $think->count(), 'think-queue: rows left');
answer([
    'title' => 'from push to fire, worker idle; the push itself and its commit are part of it',
    'unit' => 'us',
    'samples' => $samples,
    'values' => ['expected mean of sleep 3' => '1,500,000 us'],
]);
