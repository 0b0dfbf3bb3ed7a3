<?php

// illuminate/queue and symfony/messenger as peers: the real packages, wired by hand, from the include path, where Debian's packages put
// them. Their workers, events and buses are left out: a push is their push, a job is take, handle, delete.
//
// redis_peers.php and sqlite_peers.php say which there are and wire them.

declare(strict_types=1);

namespace Bench;

/** A queue library with a connection of its own. */
interface Peer
{
    /** Makes the queue empty and ready for use. */
    public function set_up(): void;

    public function push(): void;

    /** Takes one job, runs its handler and deletes it. False when there is none. */
    public function work(): bool;

    /** Checks that a queue is as it should be: so many jobs ready, none reserved. */
    public function expect_queue(int $ready, string $who): void;
}

/** @return array<string, Peer> those whose packages are on the include path */
function installed_peers(): array
{
    $peers = [];
    foreach (array_filter(PEERS, is_installed(...)) as $name => [, $files, $class]) {
        // Old packages on a new PHP: what they say about it would be in the middle of the answer.
        error_reporting(error_reporting() & ~E_DEPRECATED);
        array_map(fn ($file) => require_once $file, $files);
        $peers[$name] = new $class();
    }
    return $peers;
}

/** @return array<string, string> a line for each that is left out */
function missing_peers(): array
{
    $missing = array_filter(PEERS, fn ($peer) => !is_installed($peer));
    return array_map(fn ($peer) => "left out: $peer[0] not installed", $missing);
}

function is_installed(array $peer): bool
{
    return !in_array(false, array_map('stream_resolve_include_path', $peer[1]), true);
}

/** A side of a row that pushes. @return array{callable, callable, callable} */
function peer_that_pushes(Peer $peer, string $who, int $pushes): array
{
    $work = function () use ($pushes, $peer) {
        for ($n = 0; $n < $pushes; $n++) {
            $peer->push();
        }
    };
    return [fn () => $peer->set_up(), $work, fn () => $peer->expect_queue($pushes, $who)];
}

/** A side of a row that works a full queue. @return array{callable, callable, callable} */
function peer_that_drains(Peer $peer, string $who, int $jobs): array
{
    $prepare = function () use ($peer, $jobs) {
        $peer->set_up();
        for ($n = 0; $n < $jobs; $n++) {
            $peer->push();
        }
        \BenchJob::$done = 0;
    };
    $work = function () use ($peer) {
        while ($peer->work());
    };
    return [$prepare, $work, function () use ($peer, $jobs, $who) {
        expect($jobs, \BenchJob::$done, "$who: jobs worked");
        $peer->expect_queue(0, $who);
    }];
}
