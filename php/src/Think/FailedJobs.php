<?php

declare(strict_types=1);

namespace Ferry\Think;

use think\queue\FailedJob;

/**
 * The failed jobs that `queue:failed`, `queue:retry`, `queue:forget` and `queue:flush` see: those of Ferry, which stay beside the queues, and
 * those of think-queue's own store. A job of Ferry is in Ferry's store only.
 */
class FailedJobs extends FailedJob
{
    private const PAGE = 100;

    /** Where the names of worked queues are remembered: a failed job is found by its queue. */
    private const QUEUES = 'ferry:queues:';

    private bool $writes = true;
    private ?FailedJob $theirs = null;

    /** What `find()` gave away last. */
    private ?Retry $retry = null;

    /** @param \Closure(): FailedJob $makeTheirs think-queue's own store, made when it is needed */
    public function __construct(private Framework $framework, private \Closure $makeTheirs)
    {
    }

    /** Notes which queues a worker works. @param list<string> $queues */
    public static function remember(Framework $framework, string $connection, array $queues): void
    {
        $known = (array) $framework->cached(self::QUEUES . $connection);
        $all = array_values(array_unique([...$known, ...$queues]));
        if ($all !== $known) {
            $framework->cache(self::QUEUES . $connection, $all);
        }
    }

    /** Runs listeners of a job that Ferry has stored: what they log is dropped. */
    public function withoutWriting(\Closure $listeners): void
    {
        $this->writes = false;
        try {
            $listeners();
        } finally {
            $this->writes = true;
        }
    }

    public function log($connection, $queue, $payload, $exception)
    {
        return $this->writes ? $this->theirs()->log($connection, $queue, $payload, $exception) : null;
    }

    public function all()
    {
        $ours = [];
        foreach ($this->places() as [$name, $connection, $queue]) {
            for ($offset = 0; $page = $connection->failed($queue, self::PAGE, $offset); $offset += self::PAGE) {
                array_push($ours, ...array_map(fn ($job) => self::row($name, $job), $page));
            }
        }
        return [...$ours, ...$this->theirs()->all()];
    }

    public function find($id)
    {
        foreach ($this->places() as [$name, $connection, $queue]) {
            $own = self::idHere((string) $id, $name);
            $job = $own === null ? null : $connection->failedJob($own, $queue);
            if ($job !== null) {
                $this->retry = new Retry($job['id'], $queue, $job['payload']);
                $connector = Framework\ThinkPhp8::app()->make('queue')->connection($name);
                $connector instanceof Connector && $connector->expect($this->retry);
                return self::row($name, $job);
            }
        }
        return $this->theirs()->find($id);
    }

    public function forget($id)
    {
        foreach ($this->places() as [$name, $connection, $queue]) {
            $own = self::idHere((string) $id, $name);
            if ($own !== null && ($this->isRetried($own) || $connection->forgetFailed($own, $queue) > 0)) {
                return true;
            }
        }
        return $this->theirs()->forget($id);
    }

    public function flush()
    {
        foreach ($this->places() as [, $connection, $queue]) {
            $connection->forgetFailed('all', $queue);
        }
        $this->theirs()->flush();
    }

    /** Whether the retry before this call moved the job away. It may fail again, so this holds once. */
    private function isRetried(string $id): bool
    {
        [$retry, $this->retry] = [$this->retry, null];
        return $retry !== null && $retry->hasMoved($id);
    }

    private function theirs(): FailedJob
    {
        return $this->theirs ??= ($this->makeTheirs)();
    }

    /** Where failed jobs of Ferry lie. @return iterable<array{string, \Ferry\Connection, string}> */
    private function places(): iterable
    {
        $databases = $this->framework->config('database');
        foreach ($this->framework->connectionNames() as $name) {
            $queues = $this->framework->config('queue');
            if (!Settings::sharesFailedTable($queues, $databases, $name)) {
                $connection = $this->framework->connection($name);
                foreach ($this->queues($name, $connection) as $queue) {
                    yield [$name, $connection, $queue];
                }
            }
        }
    }

    /** @return list<string> */
    private function queues(string $name, \Ferry\Connection $connection): array
    {
        $settings = $this->framework->config('queue')['connections'][$name];
        $known = [$settings['queue'] ?? 'default', ...(array) ($settings['queues'] ?? []), ...(array) $this->framework->cached(self::QUEUES . $name)];
        try {
            $known = array_merge($known, ...array_column($connection->workers(), 'queues'));
        } catch (\Ferry\ConfigException) {
            // RabbitMQ keeps no list of workers without `control`.
        }
        return array_values(array_unique(array_map('strval', array_filter($known))));
    }

    /** A number of a table says nothing without its connection. */
    private static function shownId(string $connection, string|int $id): string
    {
        return is_numeric($id) ? "$connection:$id" : (string) $id;
    }

    /** The id on this connection; null when it is that of another one. */
    private static function idHere(string $id, string $connection): ?string
    {
        if (str_starts_with($id, "$connection:")) {
            return substr($id, strlen($connection) + 1);
        }
        return is_numeric($id) ? null : $id;
    }

    /** A record as think-queue's table has it. @param array<string, mixed> $job */
    private static function row(string $name, array $job): array
    {
        return [
            'id' => self::shownId($name, $job['id']),
            'connection' => $name,
            'queue' => $job['queue'],
            'payload' => $job['payload'],
            'exception' => $job['exception'],
            'fail_time' => date('Y-m-d H:i:s', $job['failed_at']),
        ];
    }
}
