<?php

/**
 * The extension `ferry` as IDEs and static analysers see it. Nothing here runs.
 *
 * The native signatures are those that Reflection shows; the types in the comments are the exact ones.
 * `php-tests/surface/stubs-*.phpt` compares both.
 */

namespace Ferry;

/**
 * The default connection, as static methods, in the manner of think-queue's facade.
 *
 * Without Composer's package it also answers to `think\Queue` and `think\facade\Queue`, unless `ferry.think_names` is 0.
 */
class Queue
{
    /** Not for callers: every method is static. */
    public function __construct()
    {
    }

    /**
     * Sets the connections for the rest of the request. Opens nothing.
     *
     * Without it the environment variable `FERRY_URL` counts, then the ini setting `ferry.url`; each holds a DSN.
     *
     * @param string|array<string, mixed> $config think-queue's `config/queue.php` (v3, or the flat array of v1 and v2), or a DSN
     * A connection is checked when it is used.
     *
     * @throws ConfigException no connections, a default that is not among them, a misspelt key beside them, a wrong DSN
     * @throws InvalidArgumentException neither an array nor a string
     */
    public static function configure(mixed $config): void
    {
    }

    /**
     * What the configuration holds that is ignored, and why connections cannot be used. A sentence each, none is an error.
     *
     * @return list<string>
     * @throws ConfigException nothing is configured
     */
    public static function notices(): array
    {
    }

    /**
     * A connection by name, the default one without.
     *
     * @throws ConfigException there is no such connection, or none at all; an unknown key, a wrong value, a missing one
     */
    public static function connection(?string $name = null): Connection
    {
    }

    /**
     * Pushes a job that is ready at once.
     *
     * On a `sync` connection the job runs here, what it throws is the caller's, and the answer is 0 (`sync/sync-push`).
     *
     * @param string|object $job `Class` (method `fire`), `Class@method` or a short name; or an object with `handle()`, which is
     *     serialized (public `tries`, `timeout`, `timeoutAt` and `retryUntil()` are read, `$data` is not:
     *     `redis/push-object-job-ignores-data-and-own-queue-delay`)
     * @param mixed $data anything `json_encode()` can write, at most 511 levels deep; `''` without (`redis/push-data-empty-string`)
     * @param string|null $queue 1 to 255 bytes of UTF-8 without control characters; null, `''` and `'0'` mean the connection's
     *     own queue (`redis/push-queue-"0"`)
     * @return string|int the id: 32 letters on Redis and in memory, the row number on SQLite, 0 on `sync`; with `track` 32 letters on each
     * @throws InvalidArgumentException data, job, queue name or size cannot be carried; nothing was sent
     * @throws ConfigException no usable connection is configured
     * @throws ConnectionException the broker was not reached; nothing was stored, repeating is safe
     * @throws UncertainException the answer was lost: the job may be stored (`redis/push-reply-lost`)
     * @throws BrokerException the broker refused; nothing was stored (`redis/push-wrong-type-key`)
     */
    public static function push(mixed $job, mixed $data = '', ?string $queue = null): mixed
    {
    }

    /**
     * Pushes a job that is ready after a delay. On a `sync` connection the delay is ignored (`sync/sync-later-ignores-delay`).
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay seconds, fractions cut off
     *     (`redis/later-float-1.5`); a moment, past ones allowed (`redis/later-DateTime`); a span from now
     *     (`redis/later-DateInterval`); null means 0. Up to the end of the year 9999.
     * @param string|object $job as for {@see push()}
     * @param mixed $data as for {@see push()}
     * @return string|int as for {@see push()}
     * @throws InvalidArgumentException the delay is no time, or as for {@see push()}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null): mixed
    {
    }

    /**
     * Pushes many jobs with the same data, in order, in as few round trips as the broker allows.
     *
     * @param array<string|object> $jobs keys are ignored
     * @param mixed $data as for {@see push()}, the same for every job
     * @return int|null|list<string> with `track` the ids; else how many were stored where the broker numbers its jobs (`sqlite/bulk-three`), else null
     *     (`redis/bulk-three`)
     * @throws InvalidArgumentException one of them cannot be carried; none was sent
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children; the message says how many were stored before
     */
    public static function bulk(mixed $jobs, mixed $data = '', ?string $queue = null): mixed
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
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function pushOn(?string $queue, mixed $job, mixed $data = ''): mixed
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
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function laterOn(?string $queue, mixed $delay, mixed $job, mixed $data = ''): mixed
    {
    }

    /**
     * Pushes a payload as it is, byte for byte.
     *
     * @param string $payload any bytes; what no worker can decode ends in the failed store
     * @param mixed $options taken for think-queue's sake and not read
     * @return string|int|null the payload's own `id` (null when it has none: `redis/pushRaw-no-id`), or the row number
     *     (`sqlite/pushRaw`)
     * @throws InvalidArgumentException queue name or size cannot be carried
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function pushRaw(string $payload, ?string $queue = null, mixed $options = null): mixed
    {
    }

    /**
     * Reserves the next job, without waiting. The reservation is not renewed: settle it within `retry_after` (60 s by default).
     *
     * @return Job|null null when no job is ready (`redis/pop-empty-named`)
     * @throws ConfigException as for {@see push()}
     * @throws UncertainException the answer was lost: the job may be reserved and comes back after `retry_after`
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function pop(?string $queue = null): ?Job
    {
    }

    /**
     * Jobs that still have to be worked: ready, delayed and reserved together (`redis/size`).
     *
     * @return int<0, max>
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function size(?string $queue = null): int
    {
    }

    /**
     * Jobs by state.
     *
     * @return array{ready: int<0, max>, delayed: int<0, max>, reserved: int<0, max>, failed: int<0, max>}
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children, as for {@see push()}
     */
    public static function stats(?string $queue = null): array
    {
    }

    /**
     * Failed jobs, newest first.
     *
     * `id` names it: the id of the job, in a table the number of its row. `job_id` is what its push returned. `reason` is one of `exception`, `max_attempts`, `poison`, `no_handler`, `exited`,
     * `timeout`, `asked`; `exception` is what PHP prints of it; `payload` is the body as popped; `failed_at` is a unix second.
     *
     * @param int $limit how many at most, 0 or more
     * @param int $offset how many to pass over, 0 or more
     * @return list<array{id: string, job_id: string|null, connection: string, queue: string, payload: string, reason: string, exception: string, attempts: int|null, failed_at: int}>
     * @throws InvalidArgumentException a negative limit or offset
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children
     */
    public static function failed(?string $queue = null, int $limit = 100, int $offset = 0): array
    {
    }

    /**
     * One failed job, in the shape of {@see failed()}.
     *
     * @param string|int $id as {@see failed()} shows it
     * @return array{id: string, job_id: string|null, connection: string, queue: string, payload: string, reason: string, exception: string, attempts: int|null, failed_at: int}|null null when there is none
     * @throws InvalidArgumentException the id is neither a string nor an int
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children
     */
    public static function failedJob(mixed $id, ?string $queue = null): ?array
    {
    }

    /**
     * Makes failed jobs ready again, oldest first. Each leaves the failed store and joins the ready jobs, or neither.
     *
     * Their `attempts` begin anew, and no other byte of the payload changes (`command/retry-payload-without-attempts`; unlike
     * `command/retry-payload-reencoded` and `command/retry-garbage-payload`). Jobs that fail meanwhile are left alone. Several
     * processes may ask at once: each job is retried once.
     *
     * @param string|int|list<string|int>|array{class?: string, before?: int|\DateTimeInterface, after?: int|\DateTimeInterface} $which
     *     `'all'`, an id, a list of ids, or conditions that must all hold: the class of the handler or of the object job, failed
     *     before a second, failed in a second or later. An empty array means none.
     * @return int<0, max> how many
     * @throws InvalidArgumentException `$which` is none of these
     * @throws ConfigException as for {@see push()}
     * @throws UncertainException the answer was lost; asking again retries nothing twice
     * @throws BrokerException or one of its children; the message says how many were done before, the others are still failed
     */
    public static function retryFailed(mixed $which = 'all', ?string $queue = null): int
    {
    }

    /**
     * Removes failed jobs for good: `'all'` flushes, `['before' => ...]` prunes.
     *
     * @param string|int|list<string|int>|array{class?: string, before?: int|\DateTimeInterface, after?: int|\DateTimeInterface} $which as
     *     for {@see retryFailed()}
     * @return int<0, max> how many
     * @throws InvalidArgumentException `$which` is none of these
     * @throws ConfigException as for {@see push()}
     * @throws BrokerException or one of its children; the message says how many were done before
     */
    public static function forgetFailed(mixed $which, ?string $queue = null): int
    {
    }
}
