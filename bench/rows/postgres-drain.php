<?php

// A full queue, worked until it is empty by a handler that deletes; for Ferry also beside many delayed rows.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/postgres_row.php';

$ours = amount(20_000, 2_000);
// think-queue commits twice a job, so it gets fewer of them; numbers are per job.
$theirs = amount(500, 30);
$waiting = amount(1_000_000, 1_000);
configure_ferry();
$think = new ThinkPostgres();

$fill = function () use ($ours) {
    pdo()->exec("DELETE FROM jobs WHERE available_time < 4000000000");
    \Ferry\Queue::bulk(array_fill(0, $ours, \BenchJob::class), DATA, QUEUE);
    \BenchJob::$done = 0;
};
$drain = fn () => (new \Ferry\Worker(['queue' => QUEUE, 'stop_when_empty' => true, 'log' => 'none']))->run();
$check = fn () => expect($ours, \BenchJob::$done, 'Ferry: jobs worked');

$rounds = interleaved([
    'Ferry\Worker' => [$fill, $drain, $check],
    "think-queue's statements on PDO" => [
        function () use ($think, $theirs) {
            $think->clear();
            for ($n = 0; $n < $theirs; $n++) {
                $think->push(\BenchJob::class, DATA);
            }
            \BenchJob::$done = 0;
        },
        function () use ($think) {
            while ($think->work());
        },
        fn () => expect($theirs, \BenchJob::$done, 'think-queue: jobs worked'),
    ],
], amount(5, 1), ['Ferry\Worker' => $ours, "think-queue's statements on PDO" => $theirs]);
delay_rows($waiting);
$rounds += interleaved(["Ferry\Worker, $waiting delayed rows" => [$fill, $drain, $check]], amount(3, 1), $ours);
answer(['title' => 'work a full queue', 'unit' => 'us per job', 'rounds' => $rounds]);
