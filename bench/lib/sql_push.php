<?php

// One job a push, one commit each.

declare(strict_types=1);

namespace Bench;

$pushes = amount(1000, 50);
configure_ferry();
create_tables();
$sides = ['Ferry\Queue::push' => [
    fn () => \Ferry\Queue::connection()->clear(QUEUE),
    repeated($pushes, fn () => \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE)),
    fn () => expect_ready($pushes, 'Ferry'),
]];
foreach (['a prepared INSERT on PDO' => new BarePdo(), "think-queue's statements on PDO" => new ThinkOnServer()] as $who => $peer) {
    $work = repeated($pushes, fn () => $peer->push(\BenchJob::class, DATA));
    $sides[$who] = [fn () => $peer->clear(), $work, fn () => expect($pushes, $peer->count(), "$who: rows")];
}
foreach (installed_peers() as $who => $peer) {
    $sides[$who] = peer_that_pushes($peer, $who, $pushes);
}
$rounds = interleaved($sides, amount(9, 1), $pushes);
answer(['title' => 'push one job', 'unit' => 'us per push', 'rounds' => $rounds, 'values' => missing_peers()]);
