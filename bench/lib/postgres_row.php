<?php

// The PostgreSQL rows: the server of this run, and a table for each side.

declare(strict_types=1);

namespace Bench;

use Illuminate\Database\PostgresConnection;

define('Bench\PDO_DSN', 'pgsql:host=127.0.0.1;port=' . getenv('BENCH_PORT') . ';dbname=postgres');
const ROW_OF_SERVER = __FILE__;
const PDO_USER = 'postgres';
const RETURNING_ID = ' RETURNING id';
const ILLUMINATE_CONNECTION = PostgresConnection::class;
const TABLE_LIKE_OURS = 'CREATE TABLE IF NOT EXISTS bare (LIKE jobs INCLUDING ALL)';
const TABLE_OF_THINK = [
    'CREATE TABLE IF NOT EXISTS think (id bigserial PRIMARY KEY, queue varchar(255), payload text, attempts smallint,
        reserve_time int, available_time int, create_time int)',
    'CREATE INDEX IF NOT EXISTS think_queue ON think (queue)',
];
const TABLE_OF_ILLUMINATE = [
    'CREATE TABLE IF NOT EXISTS illuminate (id bigserial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL, attempts smallint NOT NULL,
        reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL)',
    'CREATE INDEX IF NOT EXISTS illuminate_queue ON illuminate (queue)',
];

require __DIR__ . '/sql_server_row.php';

function configure_ferry(): void
{
    $connection = ['type' => 'postgres', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'username' => PDO_USER, 'database' => 'postgres', 'queue' => QUEUE];
    \Ferry\Queue::configure(['default' => 'postgres', 'connections' => ['postgres' => $connection]]);
}

/** Rows that wait in Ferry's table for ever, beside those of the benchmark. */
function delay_rows(int $count): void
{
    pdo()->exec("INSERT INTO jobs (queue, payload, attempts, reserve_time, available_time, create_time)
        SELECT 'bench', repeat('x', 120), 0, NULL, 4000000000, 0 FROM generate_series(1, $count)");
    pdo()->exec('VACUUM ANALYZE jobs');
}
