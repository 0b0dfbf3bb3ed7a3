<?php

namespace Ferry;

/**
 * One connection, and all operations on it. {@see Queue} offers the same methods for the default one.
 */
class Connection implements QueueInterface
{
    /**
     * A connection separate from those of {@see Queue::configure()}. Opens nothing.
     *
     * Equal configurations share their sockets, across the requests of a PHP-FPM process too.
     *
     * @param string|array<string, mixed> $config a DSN, or the array of one connection: `['type' => 'redis', 'host' => ...]`
     * @param string|null $name its name in errors, in {@see Job::getConnection()} and in the records of failed jobs; `default` without
     * @throws ConfigException an unknown key, a wrong value, a missing one, an empty name
     * @throws InvalidArgumentException neither an array nor a string
     */
    public function __construct(mixed $config, ?string $name = null)
    {
    }

    /**
     * Its name in the configuration.
     *
     * @return string
     */
    public function getName(): mixed
    {
    }

    /**
     * Stores the buffered jobs ({@see flush()}), then closes the sockets. The next operation opens them again.
     *
     * Not for a handler: on RabbitMQ a worker's jobs go back to their queue with its connection.
     *
     * @throws ConfigException this build does not have the driver
     * @throws BrokerException or a subclass: a job could not be stored, and nothing was closed
     */
    public function close(): void
    {
    }

    /**
     * Pushes a job that is ready at once.
     *
     * On a `sync` connection the job runs here, its exceptions go to the caller, and the return value is 0 (`sync/sync-push`).
     *
     * @param string|object $job `Class` (method `fire`), `Class@method` or a short name; or an object with `handle()`, which is
     *     serialized (public `tries`, `timeout`, `timeoutAt` and `retryUntil()` are read, `$data` is not:
     *     `redis/push-object-job-ignores-data-and-own-queue-delay`)
     * @param mixed $data anything `json_encode()` can encode, at most 511 levels deep; `''` without (`redis/push-data-empty-string`)
     * @param string|null $queue 1 to 255 bytes of UTF-8 without control characters; null, `''` and `'0'` mean the connection's
     *     own queue (`redis/push-queue-"0"`)
     * @return string|int|null the id: 32 letters on Redis and in memory, the row number in a database, 0 on `sync`; with `track` 32 letters on each;
     *     with `push_buffer` null in a database, where the row does not exist yet
     * @throws InvalidArgumentException data, job, queue name or size is invalid; nothing was sent
     * @throws ConfigException no usable connection is configured
     * @throws ConnectionException the broker could not be reached; nothing was stored, retrying is safe
     * @throws UncertainException the answer was lost: the job may be stored (`redis/push-reply-lost`)
     * @throws BrokerException the broker refused; nothing was stored (`redis/push-wrong-type-key`)
     */
    public function push(mixed $job, mixed $data = '', ?string $queue = null): mixed
    {
    }

    /**
     * Pushes a job that is ready after a delay. On a `sync` connection the delay is ignored (`sync/sync-later-ignores-delay`).
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay seconds, fractions truncated
     *     (`redis/later-float-1.5`); a point in time, past ones allowed (`redis/later-DateTime`); an interval from now
     *     (`redis/later-DateInterval`); null means 0. Up to the end of the year 9999.
     * @param string|object $job as for {@see push()}
     * @param mixed $data as for {@see push()}
     * @return string|int as for {@see push()}
     * @throws InvalidArgumentException the delay is not a valid time, or as for {@see push()}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null): mixed
    {
    }

    /**
     * Pushes many jobs with the same data, in order, in as few round trips as the broker allows.
     *
     * @param array<string|object> $jobs keys are ignored
     * @param mixed $data as for {@see push()}, the same for every job
     * @return int|null|list<string> with `track` the ids; else how many were stored where the broker numbers its jobs (`sqlite/bulk-three`), else null
     *     (`redis/bulk-three`)
     * @throws InvalidArgumentException one of them is invalid; none was sent
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass; the message says how many were stored before
     */
    public function bulk(mixed $jobs, mixed $data = '', ?string $queue = null): mixed
    {
    }

    /**
     * {@see push()} with the queue first (`redis/pushOn`).
     *
     * @param string|object $job as for {@see push()}
     * @param mixed $data as for {@see push()}
     * @return string|int as for {@see push()}
     * @throws InvalidArgumentException as for {@see push()}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function pushOn(?string $queue, mixed $job, mixed $data = ''): mixed
    {
    }

    /**
     * {@see later()} with the queue first (`redis/laterOn`).
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay as for {@see later()}
     * @param string|object $job as for {@see push()}
     * @param mixed $data as for {@see push()}
     * @return string|int as for {@see push()}
     * @throws InvalidArgumentException as for {@see later()}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function laterOn(?string $queue, mixed $delay, mixed $job, mixed $data = ''): mixed
    {
    }

    /**
     * Pushes a payload as it is, byte for byte.
     *
     * @param string $payload any bytes; what no worker can decode goes to the failed store
     * @param mixed $options accepted for think-queue's sake and ignored
     * @return string|int|null the payload's own `id` (null when it has none: `redis/pushRaw-no-id`), or the row number
     *     (`sqlite/pushRaw`)
     * @throws InvalidArgumentException queue name or size is invalid
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function pushRaw(string $payload, ?string $queue = null, mixed $options = null): mixed
    {
    }

    /**
     * Pushes a payload as it is, ready after a delay. Like {@see pushRaw()} it is never buffered.
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay as for {@see later()}
     * @param string $payload as for {@see pushRaw()}
     * @return string|int|null as for {@see pushRaw()}
     * @throws InvalidArgumentException the delay is not a valid time, or as for {@see pushRaw()}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function laterRaw(mixed $delay, string $payload, ?string $queue = null): mixed
    {
    }

    /**
     * Stores the jobs that `push()` and `later()` buffered on this connection (`push_buffer`), in order for each queue.
     *
     * @return int<0, max> how many were stored; 0 without `push_buffer`
     * @throws ConfigException no usable connection is configured
     * @throws BrokerException or a subclass; the jobs that are not known to be stored stay buffered, and the message counts them
     */
    public function flush(): int
    {
    }

    /**
     * Reserves the next job, without waiting. The reservation is not renewed: settle it within `retry_after` (60 s by default).
     *
     * @return Job|null null when no job is ready (`redis/pop-empty-named`)
     * @throws ConfigException as for {@see push()}
     * @throws UncertainException the answer was lost: the job may be reserved and becomes ready again after `retry_after`
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function pop(?string $queue = null): ?Job
    {
    }

    /**
     * Jobs that are still to be run: ready, delayed and reserved together (`redis/size`).
     *
     * @return int<0, max>
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function size(?string $queue = null): int
    {
    }

    /**
     * Jobs by state.
     *
     * @return array{ready: int<0, max>, delayed: int<0, max>, reserved: int<0, max>, failed: int<0, max>}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass, as for {@see push()}
     */
    public function stats(?string $queue = null): array
    {
    }

    /**
     * Failed jobs, newest first.
     *
     * `id` identifies the record: the id of the job, or in a table its row number; `job_id` is the id that its push returned;
     * `reason` is one of `exception`, `max_attempts`, `poison`, `no_handler`, `exited`,
     * `timeout`, `asked`; `exception` is the exception as PHP prints it; `payload` is the body as popped; `failed_at` is a Unix timestamp.
     *
     * @param int $limit how many at most, 0 or more
     * @param int $offset how many to skip, 0 or more
     * @return list<array{id: string, job_id: string|null, connection: string, queue: string, payload: string, reason: 'exception'|'max_attempts'|'poison'|'no_handler'|'exited'|'timeout'|'asked', exception: string, attempts: int|null, failed_at: int}>
     * @throws InvalidArgumentException a negative limit or offset
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass
     */
    public function failed(?string $queue = null, int $limit = 100, int $offset = 0): array
    {
    }

    /**
     * One failed job, as {@see failed()} returns it.
     *
     * @param string|int $id as {@see failed()} shows it
     * @return array{id: string, job_id: string|null, connection: string, queue: string, payload: string, reason: 'exception'|'max_attempts'|'poison'|'no_handler'|'exited'|'timeout'|'asked', exception: string, attempts: int|null, failed_at: int}|null null when there is none
     * @throws InvalidArgumentException the id is neither a string nor an int
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass
     */
    public function failedJob(mixed $id, ?string $queue = null): ?array
    {
    }

    /**
     * Makes failed jobs ready again, oldest first. Each moves from the failed store to the ready jobs atomically.
     *
     * Their `attempts` start again, and no other byte of the payload changes (`command/retry-payload-without-attempts`; unlike
     * `command/retry-payload-reencoded` and `command/retry-garbage-payload`). Jobs that fail meanwhile are not included. Several
     * processes may retry at the same time: each job is retried once.
     *
     * @param string|int|list<string|int>|array{class?: string, before?: int|\DateTimeInterface, after?: int|\DateTimeInterface, job?: string|int, connection?: string} $which
     *     `'all'`, an id, a list of ids, or conditions that must all be met: the class of the handler or of the object job, failed
     *     before a time, failed at a time or later. An empty array means none.
     * @return int<0, max> how many
     * @throws InvalidArgumentException `$which` is none of these
     * @throws ConfigException as for {@see push()}
     * @throws UncertainException the answer was lost; calling again retries no job twice
     * @throws BrokerException or a subclass; the message says how many were retried before, the others are still failed
     */
    public function retryFailed(mixed $which = 'all', ?string $queue = null): int
    {
    }

    /**
     * Removes failed jobs permanently: `'all'` flushes, `['before' => ...]` prunes.
     *
     * @param string|int|list<string|int>|array{class?: string, before?: int|\DateTimeInterface, after?: int|\DateTimeInterface, job?: string|int, connection?: string} $which as
     *     for {@see retryFailed()}
     * @return int<0, max> how many
     * @throws InvalidArgumentException `$which` is none of these
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass; the message says how many were removed before
     */
    public function forgetFailed(mixed $which, ?string $queue = null): int
    {
    }

    /**
     * Payloads in a queue, the next one first. Changes nothing.
     *
     * @param 'ready'|'delayed'|'reserved'|null $state null means `ready`
     * @param int $limit how many at most, 0 or more
     * @param int $offset how many to skip, 0 or more
     * @return list<string>
     * @throws InvalidArgumentException an unknown state, a negative limit or offset
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass
     */
    public function peek(?string $queue = null, ?string $state = null, int $limit = 10, int $offset = 0): array
    {
    }

    /**
     * Removes every ready, delayed and reserved job. Failed jobs stay.
     *
     * @return int<0, max> how many
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass
     */
    public function clear(?string $queue = null): int
    {
    }

    /**
     * Asks workers to stop taking jobs from a queue: they finish the running job, give back its other jobs and continue with their other queues.
     * Lasts until {@see resume()}, also for workers that start later. {@see pop()} is not affected.
     *
     * @throws ConfigException as for {@see push()}; or this broker cannot store flags and `control` names no other
     * @throws BrokerException or a subclass
     */
    public function pause(?string $queue = null): void
    {
    }

    /**
     * Lets workers take jobs from a queue again.
     *
     * @throws ConfigException as for {@see pause()}
     * @throws BrokerException or a subclass
     */
    public function resume(?string $queue = null): void
    {
    }

    /**
     * Asks every worker of this broker to exit with 0 at the end of its job, so that its supervisor starts it again.
     *
     * @throws ConfigException as for {@see pause()}
     * @throws BrokerException or a subclass
     */
    public function restartWorkers(): void
    {
    }

    /**
     * The same, but the master of `ferry work --processes` exits too.
     *
     * @throws ConfigException as for {@see pause()}
     * @throws BrokerException or a subclass
     */
    public function stopWorkers(): void
    {
    }

    /**
     * The requests to workers: the number of restarts and stops so far, and paused queues with the Unix timestamp of the pause.
     *
     * @return array{restart: int, stop: int, paused: array<string, int>}
     * @throws ConfigException as for {@see pause()}
     * @throws BrokerException or a subclass
     */
    public function flags(): array
    {
    }

    /**
     * The workers of this broker that reported within the last minute, the longest running first.
     *
     * @return list<array{id: string, host: string, pid: int, started: int, seen: int, processed: int, failed: int, memory: int,
     *     state: 'idle'|'working'|'paused', queues: list<string>, job: ?string}>
     * @throws ConfigException as for {@see pause()}
     * @throws BrokerException or a subclass
     */
    public function workers(): array
    {
    }

    /**
     * The status of the job with this id, on a connection with `track`.
     *
     * @return Status|null null when there is none, or no longer
     * @throws ConfigException no usable connection is configured; or this broker cannot store statuses and `control` names no other
     * @throws BrokerException or a subclass
     */
    public function status(string $id): ?Status
    {
    }

    /**
     * What the server reports about itself: version, limits, eviction policy, clock skew. What it does not
     * report is left out. docs/api.md lists the names. `queue` and `retry_after` of the connection are included.
     *
     * @return array<string, string|int|float|bool|null>
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or a subclass
     */
    public function facts(): array
    {
    }

    /**
     * The statements that create the tables, for those who do not let the first use create them. Empty for brokers without tables.
     *
     * @return list<string>
     * @throws ConfigException as for {@see push()}
     */
    public function schema(): array
    {
    }

    /**
     * The row that {@see push()} would insert, for a transaction of your own: insert it there, and the job exists when you commit and never
     * when you roll back. Stores nothing. For connections of databases.
     *
     * @param mixed $job as for {@see push()}
     * @param mixed $data as for {@see push()}
     * @param int|float|\DateTimeInterface|\DateInterval|null $delay as for {@see later()}; null is ready at once
     * @return array{table: string, values: array<string, int|string|null>}
     * @throws ConfigException as for {@see push()}; or this broker keeps no rows
     * @throws BrokerException or a subclass
     */
    public function row(mixed $job, mixed $data = '', ?string $queue = null, mixed $delay = null): array
    {
    }
}
