<?php

// One job a push, one commit each.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/postgres_row.php';

$pushes = amount(1000, 50);
configure_ferry();
$repeated = fn (callable $push) => function () use ($push, $pushes) {
    for ($n = 0; $n < $pushes; $n++) {
        $push();
    }
};

$sides = ['Ferry\Queue::push' => [
    fn () => \Ferry\Queue::connection()->clear(QUEUE),
    $repeated(fn () => \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE)),
    fn () => expect_ready($pushes, 'Ferry'),
]];
foreach (['a prepared INSERT on PDO' => new BarePdo(), "think-queue's statements on PDO" => new ThinkPostgres()] as $who => $side) {
    $work = $repeated(fn () => $side->push(\BenchJob::class, DATA));
    $sides[$who] = [$side->clear(...), $work, fn () => expect($pushes, $side->count(), "$who: rows")];
}
answer(['title' => 'push one job', 'unit' => 'us per push', 'rounds' => interleaved($sides, amount(9, 1), $pushes)]);
