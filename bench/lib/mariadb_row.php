<?php

// The MariaDB rows: the server of this run, and a table for each side.

declare(strict_types=1);

namespace Bench;

use Illuminate\Database\MySqlConnection;

define('Bench\PDO_DSN', 'mysql:host=127.0.0.1;port=' . getenv('BENCH_PORT') . ';dbname=bench');
const ROW_OF_SERVER = __FILE__;
const PDO_USER = 'bench';
const RETURNING_ID = '';
const ILLUMINATE_CONNECTION = MySqlConnection::class;
const TABLE_LIKE_OURS = 'CREATE TABLE IF NOT EXISTS bare LIKE jobs';
const TABLE_OF_THINK = [
    'CREATE TABLE IF NOT EXISTS think (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, queue VARCHAR(255), payload LONGTEXT, attempts TINYINT UNSIGNED,
        reserve_time INT UNSIGNED, available_time INT UNSIGNED, create_time INT UNSIGNED, KEY queue (queue))',
];
const TABLE_OF_ILLUMINATE = [
    'CREATE TABLE IF NOT EXISTS illuminate (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, queue VARCHAR(255) NOT NULL, payload LONGTEXT NOT NULL,
        attempts TINYINT UNSIGNED NOT NULL, reserved_at INT UNSIGNED, available_at INT UNSIGNED NOT NULL, created_at INT UNSIGNED NOT NULL, KEY queue (queue))',
];

require __DIR__ . '/sql_server_row.php';

function configure_ferry(): void
{
    $connection = ['type' => 'mysql', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'username' => PDO_USER, 'database' => 'bench', 'queue' => QUEUE];
    \Ferry\Queue::configure(['default' => 'mysql', 'connections' => ['mysql' => $connection]]);
}

/** Rows that wait in Ferry's table for ever, beside those of the benchmark. */
function delay_rows(int $count): void
{
    pdo()->exec("INSERT INTO jobs (queue, payload, attempts, reserve_time, available_time, create_time)
        SELECT 'bench', repeat('x', 120), 0, NULL, 4000000000, 0 FROM seq_1_to_$count");
    pdo()->query('ANALYZE TABLE jobs')->fetchAll();
}
