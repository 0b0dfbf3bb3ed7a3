<?php

// A full queue, worked until it is empty by a handler that deletes, by one process and by four; for Ferry also beside many delayed
// rows. The start of the processes is not measured.

declare(strict_types=1);

namespace Bench;

$ours = amount(20_000, 2_000);
// The others commit twice a job, so they get fewer of them; numbers are per job.
$theirs = amount(500, 40);
$waiting = amount(1_000_000, 1_000);
configure_ferry();
create_tables();

/** A side with so many worker processes. `$fill` makes the queue full, `$left` counts what is left in it. */
function side(int $workers, string $kind, int $jobs, callable $fill, callable $left): array
{
    [$running, $done] = [null, 0];
    return [
        function () use (&$running, $workers, $kind, $fill) {
            $fill();
            $running = WaitingWorkers::start($workers, $kind);
        },
        function () use (&$running, &$done) {
            $done = $running->work();
        },
        function () use (&$done, $jobs, $kind, $left) {
            expect($jobs, $done, "$kind: jobs worked");
            expect(0, $left(), "$kind: jobs left");
        },
    ];
}

$fill = function () use ($ours) {
    pdo()->exec('DELETE FROM jobs WHERE available_time < 4000000000');
    \Ferry\Queue::bulk(array_fill(0, $ours, \BenchJob::class), DATA, QUEUE);
};
$left = fn () => (int) pdo()->query('SELECT count(*) FROM jobs WHERE available_time < 4000000000')->fetchColumn();
$think = new ThinkOnServer();
$fill_think = function () use ($think, $theirs) {
    $think->clear();
    $think->bulk(array_fill(0, $theirs, \BenchJob::class), DATA);
};
[$sides, $operations] = [[], []];
foreach ([1 => '', 4 => ', 4 workers'] as $workers => $name) {
    $sides["Ferry\Worker$name"] = side($workers, 'ferry', $ours, $fill, $left);
    $sides["think-queue's statements on PDO$name"] = side($workers, 'think', $theirs, $fill_think, $think->count(...));
    $operations += ["Ferry\Worker$name" => $ours, "think-queue's statements on PDO$name" => $theirs];
    foreach (installed_peers() as $who => $peer) {
        $fill_peer = function () use ($peer, $theirs) {
            $peer->set_up();
            repeated($theirs, $peer->push(...))();
        };
        $empty = function () use ($peer, $who) {
            $peer->expect_queue(0, $who);
            return 0;
        };
        $sides["$who$name"] = side($workers, $who, $theirs, $fill_peer, $empty);
        $operations["$who$name"] = $theirs;
    }
}
$rounds = interleaved($sides, amount(5, 1), $operations);
delay_rows($waiting);
$beside = [];
foreach ([1 => '', 4 => ', 4 workers'] as $workers => $name) {
    $beside["Ferry\Worker$name, $waiting delayed rows"] = side($workers, 'ferry', $ours, $fill, $left);
}
$rounds += interleaved($beside, amount(3, 1), $ours);
answer(['title' => 'work a full queue', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => missing_peers()]);
