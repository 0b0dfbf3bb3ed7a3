<?php

// think-queue v3 as the peer: its payloads, its commands and statements in its order, and the least PHP work that goes with them.
// The commands are those of fixtures/think-queue-v3.json (`redis/pop-one`, `worker/worker-ok-deletes`, `sqlite/*`). Its framework
// (container, events, query builder) is left out, so the real package is slower than this.

declare(strict_types=1);

namespace Bench;

const DATA = ['to' => 'ada@example.com', 'order' => 4711];

/** The payload of a job on Redis, built as think-queue builds it. */
function think_payload(string $job, mixed $data): string
{
    $payload = ['job' => $job, 'maxTries' => null, 'timeout' => null, 'data' => $data];
    $payload = array_merge($payload, ['id' => think_random_id(), 'attempts' => 0]);
    return think_encode($payload);
}

/** The payload of a job in a table. */
function think_row_payload(string $job, mixed $data): string
{
    return think_encode(['job' => $job, 'maxTries' => null, 'timeout' => null, 'data' => $data]);
}

function think_encode(array $payload): string
{
    $text = json_encode($payload);
    if (json_last_error() !== JSON_ERROR_NONE) {
        throw new \InvalidArgumentException('Unable to create payload: ' . json_last_error_msg());
    }
    return $text;
}

/** think\helper\Str::random(32) of think-helper 3.1.6. */
function think_random_id(): string
{
    $letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    return substr(str_shuffle(str_repeat($letters, 5)), 0, 32);
}

/** A job as a handler of think-queue sees it. */
final class ThinkJob
{
    public function __construct(private object $queue, private string $reserved)
    {
    }

    public function delete(): void
    {
        $this->queue->delete($this->reserved);
    }
}

/** Its Redis queue. */
final class ThinkRedis
{
    public function __construct(private \Redis $redis, private string $key, private ?int $blockFor = null)
    {
    }

    public function push(string $job, mixed $data): string
    {
        $payload = think_payload($job, $data);
        $this->redis->rPush($this->key, $payload);
        return json_decode($payload, true)['id'];
    }

    /** Takes one job and runs its handler. False when there is none. */
    public function work(): bool
    {
        $this->migrate("$this->key:delayed");
        $this->migrate("$this->key:reserved");
        $body = $this->take();
        if ($body === null) {
            return false;
        }
        $payload = json_decode($body, true);
        $payload['attempts']++;
        $reserved = json_encode($payload);
        $this->redis->zAdd("$this->key:reserved", time() + 60, $reserved);

        $handler = new $payload['job']();
        $handler->fire(new ThinkJob($this, $reserved), $payload['data']);
        return true;
    }

    public function delete(string $reserved): void
    {
        $this->redis->zRem("$this->key:reserved", $reserved);
    }

    private function take(): ?string
    {
        if ($this->blockFor === null) {
            return $this->redis->lPop($this->key) ?: null;
        }
        return $this->redis->blPop([$this->key], $this->blockFor)[1] ?? null;
    }

    private function migrate(string $set): void
    {
        $this->redis->watch($set);
        $due = $this->redis->zRangeByScore($set, '-inf', (string) time());
        if (!empty($due)) {
            $this->redis->multi();
            $this->redis->zRemRangeByRank($set, 0, count($due) - 1);
            foreach (array_chunk($due, 100) as $some) {
                $this->redis->rPush($this->key, ...$some);
            }
            $this->redis->exec();
        }
        $this->redis->unwatch();
    }
}

/** Its SQLite queue, by PDO. Statements are prepared each time, as think-orm prepares them. */
final class ThinkSqlite
{
    private const COLUMNS = '(`queue` , `attempts` , `reserve_time` , `available_time` , `create_time` , `payload`)';

    public function __construct(private \PDO $pdo)
    {
    }

    public static function open(string $file, string $journal): self
    {
        $pdo = new \PDO("sqlite:$file");
        $pdo->exec("PRAGMA journal_mode = $journal");
        $pdo->exec('CREATE TABLE IF NOT EXISTS `jobs` (`id` INTEGER PRIMARY KEY AUTOINCREMENT, `queue` TEXT, `payload` TEXT,
            `attempts` INTEGER, `reserve_time` INTEGER, `available_time` INTEGER, `create_time` INTEGER)');
        $pdo->exec('CREATE INDEX IF NOT EXISTS `jobs_queue` ON `jobs` (`queue`)');
        return new self($pdo);
    }

    public function push(string $job, mixed $data): int
    {
        $values = ['bench', 0, null, time(), time(), think_row_payload($job, $data)];
        $this->run('INSERT INTO `jobs` ' . self::COLUMNS . ' VALUES (? , ? , ? , ? , ? , ?)', $values);
        return (int) $this->pdo->lastInsertId();
    }

    /** One INSERT for all jobs, as think-queue; in pieces of 500, because SQLite takes no more SELECTs in one statement. */
    public function bulk(array $jobs, mixed $data): void
    {
        foreach (array_chunk($jobs, 500) as $some) {
            $values = [];
            foreach ($some as $job) {
                array_push($values, 'bench', 0, null, time(), time(), think_row_payload($job, $data));
            }
            $selects = implode(' UNION ALL ', array_fill(0, count($some), 'SELECT ?,?,?,?,?,?'));
            $this->run('INSERT INTO `jobs` ' . self::COLUMNS . " $selects", $values);
        }
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
        $row = $this->run('SELECT * FROM `jobs` WHERE  `queue` = ?  AND (  (  `reserve_time` IS NULL  AND `available_time` <= ? ) '
            . 'OR (  `reserve_time` <= ? ) ) ORDER BY `id` ASC LIMIT 1', ['bench', $now, $now - 60])->fetch(\PDO::FETCH_ASSOC);
        if ($row !== false) {
            $this->run('UPDATE `jobs` SET `reserve_time` = ? , `attempts` = ? WHERE  `id` = ?', [$now, $row['attempts'] + 1, $row['id']]);
        }
        $this->pdo->commit();
        return $row ?: null;
    }

    public function delete(string $id): void
    {
        $this->pdo->beginTransaction();
        $row = $this->run('SELECT * FROM `jobs` WHERE  `id` = ? LIMIT 1', [(int) $id])->fetch();
        if ($row !== false) {
            $this->run('DELETE FROM `jobs` WHERE  `id` = ?', [(int) $id]);
        }
        $this->pdo->commit();
    }

    public function count(): int
    {
        return (int) $this->pdo->query('SELECT count(*) FROM `jobs`')->fetchColumn();
    }

    public function clear(): void
    {
        $this->pdo->exec('DELETE FROM `jobs`');
    }

    private function run(string $sql, array $values): \PDOStatement
    {
        $statement = $this->pdo->prepare($sql);
        foreach (array_values($values) as $at => $value) {
            $type = match (true) {
                $value === null => \PDO::PARAM_NULL,
                is_int($value) => \PDO::PARAM_INT,
                default => \PDO::PARAM_STR,
            };
            $statement->bindValue($at + 1, $value, $type);
        }
        $statement->execute();
        return $statement;
    }
}
