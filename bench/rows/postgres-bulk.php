<?php

// A thousand jobs at once.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/postgres_row.php';

const JOBS = 1000;

$calls = amount(10, 3);
configure_ferry();
$names = array_fill(0, JOBS, \BenchJob::class);
$work = function () use ($names, $calls) {
    for ($n = 0; $n < $calls; $n++) {
        \Ferry\Queue::bulk($names, DATA, QUEUE);
    }
};
$sides = ['Ferry\Queue::bulk of 1,000' => [
    fn () => \Ferry\Queue::connection()->clear(QUEUE),
    $work,
    fn () => expect_ready($calls * JOBS, 'Ferry'),
]];
answer(['title' => 'push 1,000 jobs at once', 'unit' => 'us per job', 'rounds' => interleaved($sides, amount(9, 1), $calls * JOBS)]);
