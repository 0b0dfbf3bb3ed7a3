<?php

// A thousand jobs at once.

declare(strict_types=1);

namespace Bench;

const JOBS = 1000;

$calls = amount(10, 3);
configure_ferry();
create_tables();
$names = array_fill(0, JOBS, \BenchJob::class);
$think = new ThinkOnServer();
$sides = [
    'Ferry\Queue::bulk of 1,000' => [
        fn () => \Ferry\Queue::connection()->clear(QUEUE),
        repeated($calls, fn () => \Ferry\Queue::bulk($names, DATA, QUEUE)),
        fn () => expect_ready($calls * JOBS, 'Ferry'),
    ],
    "think-queue's statement on PDO" => [
        fn () => $think->clear(),
        repeated($calls, fn () => $think->bulk($names, DATA)),
        fn () => expect($calls * JOBS, $think->count(), 'think-queue: rows'),
    ],
];
answer(['title' => 'push 1,000 jobs at once', 'unit' => 'us per job', 'rounds' => interleaved($sides, amount(9, 1), $calls * JOBS)]);
