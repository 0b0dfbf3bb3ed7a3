<?php

// A thousand jobs at once.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/sqlite_row.php';

const JOBS = 1000;

$calls = amount(10, 3);
configure_ferry();
$names = array_fill(0, JOBS, \BenchJob::class);
$repeated = fn (callable $call) => function () use ($call, $calls) {
    for ($n = 0; $n < $calls; $n++) {
        $call();
    }
};

$sides = ['Ferry\Queue::bulk of 1,000' => [
    fn () => \Ferry\Queue::connection()->clear(QUEUE),
    $repeated(fn () => \Ferry\Queue::bulk($names, DATA, QUEUE)),
    fn () => expect_ready($calls * JOBS, 'Ferry'),
]];
foreach (think_sides() as $who => $think) {
    $work = $repeated(fn () => $think->bulk($names, DATA));
    $sides[$who] = [fn () => $think->clear(), $work, fn () => expect($calls * JOBS, $think->count(), "$who: rows")];
}
answer(['title' => 'push 1,000 jobs at once', 'unit' => 'us per job', 'rounds' => interleaved($sides, amount(9, 1), $calls * JOBS)]);
