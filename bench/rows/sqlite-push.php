<?php

// One job a push, one commit each.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/sqlite_row.php';

$pushes = amount(300, 50);
configure_ferry();

$sides = ['Ferry\Queue::push' => [
    fn () => \Ferry\Queue::connection()->clear(QUEUE),
    function () use ($pushes) {
        for ($n = 0; $n < $pushes; $n++) {
            \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE);
        }
    },
    fn () => expect_ready($pushes, 'Ferry'),
]];
foreach (think_sides() as $who => $think) {
    $work = function () use ($pushes, $think) {
        for ($n = 0; $n < $pushes; $n++) {
            $think->push(\BenchJob::class, DATA);
        }
    };
    $sides[$who] = [fn () => $think->clear(), $work, fn () => expect($pushes, $think->count(), "$who: rows")];
}
foreach (installed_peers() as $who => $peer) {
    $sides[$who] = peer_that_pushes($peer, $who, $pushes);
}
$rounds = interleaved($sides, amount(9, 1), $pushes);
answer(['title' => 'push one job', 'unit' => 'us per push', 'rounds' => $rounds, 'values' => missing_peers()]);
