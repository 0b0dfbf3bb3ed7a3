<?php

// What the rows of database servers share. mariadb_row.php and postgres_row.php say how their server is reached and what it spells
// differently.

declare(strict_types=1);

namespace Bench;

use Illuminate\Container\Container;
use Illuminate\Queue\DatabaseQueue;

require __DIR__ . '/row.php';
require __DIR__ . '/think.php';
require __DIR__ . '/handler.php';
require __DIR__ . '/peers.php';

const QUEUE = 'bench';

/** Peer => what it needs: Debian's packages, the files to load, the class here. */
const PEERS = [
    'illuminate/queue' => [
        'php-illuminate-queue and php-illuminate-database',
        ['Illuminate/Queue/autoload.php', 'Illuminate/Database/autoload.php'],
        IlluminateOnServer::class,
    ],
];

function pdo(): \PDO
{
    return new \PDO(PDO_DSN, PDO_USER, null, [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION]);
}

/** Ferry's tables, made with what it prints. */
function create_tables(): void
{
    array_map(pdo()->exec(...), \Ferry\Queue::connection()->schema());
}

function expect_ready(int $wanted, string $who): void
{
    expect($wanted, \Ferry\Queue::stats(QUEUE)['ready'], "$who: jobs ready");
}

/** Repeats a call. */
function repeated(int $times, callable $call): \Closure
{
    return function () use ($times, $call) {
        for ($n = 0; $n < $times; $n++) {
            $call();
        }
    };
}

/** A prepared INSERT and nothing else: what a push cannot be faster than by PDO. */
final class BarePdo
{
    private \PDO $pdo;
    private \PDOStatement $insert;

    public function __construct()
    {
        $this->pdo = pdo();
        $this->pdo->exec(TABLE_LIKE_OURS);
        $this->insert = $this->pdo->prepare('INSERT INTO bare (queue, payload, attempts, available_time, create_time) VALUES (?, ?, 0, ?, ?)' . RETURNING_ID);
    }

    public function push(string $job, mixed $data): int
    {
        $this->insert->execute([QUEUE, think_row_payload($job, $data), time(), time()]);
        return (int) (RETURNING_ID === '' ? $this->pdo->lastInsertId() : $this->insert->fetchColumn());
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

/** think-queue's statements (fixtures/think-queue-v3.json, `mariadb/*`). Prepared each time, as think-orm does. */
final class ThinkOnServer
{
    private const COLUMNS = '(queue , attempts , reserve_time , available_time , create_time , payload)';

    private \PDO $pdo;

    public function __construct()
    {
        $this->pdo = pdo();
        array_map($this->pdo->exec(...), TABLE_OF_THINK);
    }

    public function push(string $job, mixed $data): int
    {
        $this->run('INSERT INTO think ' . self::COLUMNS . ' VALUES (? , ? , ? , ? , ? , ?)', self::values($job, $data));
        return (int) $this->pdo->lastInsertId();
    }

    /** One INSERT for all jobs. */
    public function bulk(array $jobs, mixed $data): void
    {
        $values = array_merge(...array_map(fn ($job) => self::values($job, $data), $jobs));
        $this->run('INSERT INTO think ' . self::COLUMNS . ' VALUES ' . implode(' , ', array_fill(0, count($jobs), '(?,?,?,?,?,?)')), $values);
    }

    public function work(): bool
    {
        try {
            $row = $this->take();
        } catch (\PDOException $e) {
            // On MariaDB workers end in deadlocks with each other; a supervisor starts them again.
            $this->pdo->inTransaction() && $this->pdo->rollBack();
            return $e->getCode() === '40001' ? true : throw $e;
        }
        if ($row === null) {
            return false;
        }
        $payload = json_decode($row['payload'], true);
        $handler = new $payload['job']();
        $handler->fire(new ThinkJob($this, (string) $row['id']), $payload['data']);
        return true;
    }

    /** On MariaDB it ends in deadlocks with other workers too. Their jobs would run again after a minute; here they are deleted. */
    public function delete(string $id): void
    {
        do {
            try {
                $this->remove($id);
                return;
            } catch (\PDOException $e) {
                $this->pdo->inTransaction() && $this->pdo->rollBack();
            }
        } while ($e->getCode() === '40001');
        throw $e;
    }

    public function count(): int
    {
        return (int) $this->pdo->query('SELECT count(*) FROM think')->fetchColumn();
    }

    public function clear(): void
    {
        $this->pdo->exec('TRUNCATE think');
    }

    private function remove(string $id): void
    {
        $this->pdo->beginTransaction();
        $row = $this->run('SELECT * FROM think WHERE id = ? LIMIT 1 FOR UPDATE', [(int) $id])->fetch();
        if ($row !== false) {
            $this->run('DELETE FROM think WHERE id = ?', [(int) $id]);
        }
        $this->pdo->commit();
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

    private static function values(string $job, mixed $data): array
    {
        return [QUEUE, 0, null, time(), time(), think_row_payload($job, $data)];
    }

    private function run(string $sql, array $values): \PDOStatement
    {
        $statement = $this->pdo->prepare($sql);
        $statement->execute($values);
        return $statement;
    }
}

/** Its driver `database`, with the table of its migration. */
final class IlluminateOnServer implements Peer
{
    private \PDO $pdo;
    private DatabaseQueue $queue;

    public function __construct()
    {
        $this->pdo = pdo();
        array_map($this->pdo->exec(...), TABLE_OF_ILLUMINATE);
        $connection = ILLUMINATE_CONNECTION;
        $this->queue = new DatabaseQueue(new $connection($this->pdo), 'illuminate', QUEUE);
        $this->queue->setContainer(new Container());
        $this->queue->setConnectionName('database');
    }

    public function set_up(): void
    {
        $this->pdo->exec('TRUNCATE illuminate');
    }

    public function push(): void
    {
        $this->queue->push(\BenchJob::class, DATA);
    }

    public function work(): bool
    {
        $job = $this->queue->pop();
        $job?->fire();
        return $job !== null;
    }

    public function expect_queue(int $ready, string $who): void
    {
        expect($ready, (int) $this->pdo->query('SELECT count(*) FROM illuminate WHERE reserved_at IS NULL')->fetchColumn(), "$who: rows ready");
        expect($ready, (int) $this->pdo->query('SELECT count(*) FROM illuminate')->fetchColumn(), "$who: rows");
    }
}

/** Worker processes that are connected and wait, so that their start is not measured. */
final class WaitingWorkers
{
    private function __construct(private array $processes, private array $pipes)
    {
    }

    public static function start(int $count, string $kind): self
    {
        $command = placed((bool) getenv('BENCH_BOUND'), [php(), '-d', 'extension=' . extension(), dirname(__DIR__) . '/workers/drain.php', basename(ROW_OF_SERVER), $kind]);
        [$processes, $pipes] = [[], []];
        for ($n = 0; $n < $count; $n++) {
            $processes[] = proc_open($command, [['pipe', 'r'], ['pipe', 'w']], $own) ?: fail("cannot start a worker: $kind");
            $pipes[] = $own;
        }
        foreach ($pipes as [, $out]) {
            fgets($out) === "ready\n" || fail("a worker did not start: $kind");
        }
        return new self($processes, $pipes);
    }

    /** Lets them work until the queue is empty, and answers how many jobs they worked. */
    public function work(): int
    {
        foreach ($this->pipes as [$in]) {
            fwrite($in, "go\n");
        }
        $done = array_sum(array_map(fn ($own) => (int) fgets($own[1]), $this->pipes));
        array_map(fn ($own) => array_map('fclose', $own), $this->pipes);
        array_map('proc_close', $this->processes);
        return $done;
    }
}
