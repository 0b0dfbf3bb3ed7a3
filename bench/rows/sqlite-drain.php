<?php

// A full queue, worked until it is empty by a handler that deletes.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/sqlite_row.php';

$ours = amount(20_000, 2_000);
// The others commit twice a job, so they get fewer of them; numbers are per job.
$theirs = amount(200, 30);
configure_ferry();

$sides = ['Ferry\Worker' => [
    function () use ($ours) {
        \Ferry\Queue::connection()->clear(QUEUE);
        \Ferry\Queue::bulk(array_fill(0, $ours, \BenchJob::class), DATA, QUEUE);
        \BenchJob::$done = 0;
    },
    fn () => (new \Ferry\Worker(['queue' => QUEUE, 'stop_when_empty' => true, 'log' => 'none']))->run(),
    function () use ($ours) {
        expect($ours, \BenchJob::$done, 'Ferry: jobs worked');
        expect(0, \Ferry\Queue::size(QUEUE), 'Ferry: jobs left');
    },
]];
$operations = ['Ferry\Worker' => $ours];
foreach (think_sides() as $who => $think) {
    $operations[$who] = $theirs;
    $sides[$who] = [
        function () use ($think, $theirs) {
            $think->clear();
            $think->bulk(array_fill(0, $theirs, \BenchJob::class), DATA);
            \BenchJob::$done = 0;
        },
        function () use ($think) {
            while ($think->work());
        },
        function () use ($think, $theirs, $who) {
            expect($theirs, \BenchJob::$done, "$who: jobs worked");
            expect(0, $think->count(), "$who: rows left");
        },
    ];
}
foreach (installed_peers() as $who => $peer) {
    $operations[$who] = $theirs;
    $sides[$who] = peer_that_drains($peer, $who, $theirs);
}
$rounds = interleaved($sides, amount(5, 1), $operations);
answer(['title' => 'work a full queue', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => missing_peers()]);
