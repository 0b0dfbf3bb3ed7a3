<?php

// What the SQLite rows share: a file for each side, in the directory of this run.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/row.php';
require __DIR__ . '/think.php';
require __DIR__ . '/handler.php';
require __DIR__ . '/sqlite_peers.php';

const QUEUE = 'bench';

/** The file of one side. Bound and unbound runs have files of their own. */
function file_of(string $side): string
{
    return getenv('BENCH_DIR') . "/$side" . (getenv('BENCH_BOUND') ? '-bound' : '') . '.sqlite';
}

function configure_ferry(): void
{
    $connection = ['type' => 'sqlite', 'path' => file_of('ferry'), 'queue' => QUEUE];
    \Ferry\Queue::configure(['default' => 'file', 'connections' => ['file' => $connection]]);
}

/** think-queue with the journal of a new file, and with the one that Ferry uses. */
function think_sides(): array
{
    return [
        "think-queue's statements on PDO" => ThinkSqlite::open(file_of('think'), 'DELETE'),
        "think-queue's statements on PDO, WAL" => ThinkSqlite::open(file_of('think-wal'), 'WAL'),
    ];
}

function expect_ready(int $wanted, string $who): void
{
    expect($wanted, \Ferry\Queue::stats(QUEUE)['ready'], "$who: jobs ready");
}
