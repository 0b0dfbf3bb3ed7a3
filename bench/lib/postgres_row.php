<?php

// What the PostgreSQL rows share: the server of this run, and a table for each side.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/row.php';
require __DIR__ . '/think.php';
require __DIR__ . '/handler.php';

const QUEUE = 'bench';

function pdo(): \PDO
{
    $dsn = 'pgsql:host=127.0.0.1;port=' . getenv('BENCH_PORT') . ';dbname=postgres';
    return new \PDO($dsn, 'postgres', null, [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION]);
}

/** Ferry on its table, which is made with what it prints. */
function configure_ferry(): void
{
    $connection = ['type' => 'postgres', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'username' => 'postgres', 'database' => 'postgres', 'queue' => QUEUE];
    \Ferry\Queue::configure(['default' => 'postgres', 'connections' => ['postgres' => $connection]]);
    array_map(pdo()->exec(...), \Ferry\Queue::connection()->schema());
}

/** Rows that wait in Ferry's table for ever, beside those of the benchmark. */
function delay_rows(int $count): void
{
    pdo()->exec("INSERT INTO jobs (queue, payload, attempts, reserve_time, available_time, create_time)
        SELECT 'bench', repeat('x', 120), 0, NULL, 4000000000, 0 FROM generate_series(1, $count)");
    pdo()->exec('VACUUM ANALYZE jobs');
}

function expect_ready(int $wanted, string $who): void
{
    expect($wanted, \Ferry\Queue::stats(QUEUE)['ready'], "$who: jobs ready");
}

/** A prepared INSERT and nothing else: what a push cannot be faster than by PDO. */
final class BarePdo
{
    private \PDO $pdo;
    private \PDOStatement $insert;

    public function __construct()
    {
        $this->pdo = pdo();
        $this->pdo->exec('CREATE TABLE IF NOT EXISTS bare (LIKE jobs INCLUDING ALL)');
        $this->insert = $this->pdo->prepare('INSERT INTO bare (queue, payload, attempts, available_time, create_time) VALUES (?, ?, 0, ?, ?) RETURNING id');
    }

    public function push(string $job, mixed $data): int
    {
        $this->insert->execute([QUEUE, think_row_payload($job, $data), time(), time()]);
        return $this->insert->fetchColumn();
    }

    public function clear(): void
    {
        $this->pdo->exec('TRUNCATE bare');
    }

    public function count(): int
    {
        return (int) $this->pdo->query('SELECT count(*) FROM bare')->fetchColumn();
    }
}

/** think-queue's statements, as on MariaDB (fixtures/think-queue-v3.json, `mariadb/*`), in PostgreSQL's quotes. Prepared each time, as think-orm does. */
final class ThinkPostgres
{
    private \PDO $pdo;

    public function __construct()
    {
        $this->pdo = pdo();
        $this->pdo->exec('CREATE TABLE IF NOT EXISTS think (id bigserial PRIMARY KEY, queue varchar(255), payload text, attempts smallint,
            reserve_time int, available_time int, create_time int)');
        $this->pdo->exec('CREATE INDEX IF NOT EXISTS think_queue ON think (queue)');
    }

    public function push(string $job, mixed $data): int
    {
        $values = [QUEUE, 0, null, time(), time(), think_row_payload($job, $data)];
        $sql = 'INSERT INTO think (queue , attempts , reserve_time , available_time , create_time , payload) VALUES (? , ? , ? , ? , ? , ?)';
        $this->run($sql, $values);
        return (int) $this->pdo->lastInsertId();
    }

    public function work(): bool
    {
        $row = $this->take();
        if ($row === null) {
            return false;
        }
        $payload = json_decode($row['payload'], true);
        $handler = new $payload['job']();
        $handler->fire(new ThinkJob($this, (string) $row['id']), $payload['data']);
        return true;
    }

    private function take(): ?array
    {
        $this->pdo->beginTransaction();
        $now = time();
        $row = $this->run('SELECT * FROM think WHERE queue = ? AND ( ( reserve_time IS NULL AND available_time <= ? ) '
            . 'OR ( reserve_time <= ? ) ) ORDER BY id ASC LIMIT 1 FOR UPDATE', [QUEUE, $now, $now - 60])->fetch(\PDO::FETCH_ASSOC);
        if ($row !== false) {
            $this->run('UPDATE think SET reserve_time = ? , attempts = ? WHERE id = ?', [$now, $row['attempts'] + 1, $row['id']]);
        }
        $this->pdo->commit();
        return $row ?: null;
    }

    public function delete(string $id): void
    {
        $this->pdo->beginTransaction();
        $row = $this->run('SELECT * FROM think WHERE id = ? LIMIT 1 FOR UPDATE', [(int) $id])->fetch();
        if ($row !== false) {
            $this->run('DELETE FROM think WHERE id = ?', [(int) $id]);
        }
        $this->pdo->commit();
    }

    public function count(): int
    {
        return (int) $this->pdo->query('SELECT count(*) FROM think')->fetchColumn();
    }

    public function clear(): void
    {
        $this->pdo->exec('TRUNCATE think');
    }

    private function run(string $sql, array $values): \PDOStatement
    {
        $statement = $this->pdo->prepare($sql);
        $statement->execute($values);
        return $statement;
    }
}
