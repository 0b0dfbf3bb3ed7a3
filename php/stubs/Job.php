<?php

namespace Ferry;

/**
 * A reserved job, ours until it is settled or its lease expires. Handlers receive one; {@see Queue::pop()} returns one.
 *
 * It can be settled once: the first `delete()` or `release()` counts, later ones are ignored. If a handler returns without either,
 * the job stays reserved and becomes ready again after `retry_after` (worker option `on_return`).
 *
 * Without Composer's package it also has the name `think\queue\Job`.
 */
class Job
{
    /** Not to be called: jobs come from a queue. */
    public function __construct()
    {
    }

    /**
     * Runs the handler, as a worker would. Does not settle the job; exceptions of the handler go to the caller.
     *
     * @throws HandlerNotFoundException there is no such class or method
     * @throws PoisonException its data cannot be decoded
     */
    public function fire(): void
    {
    }

    /**
     * Deletes the job: it is done.
     *
     * In a worker with `settle => pipelined` this returns at once, and the event `settle_lost` reports a loss.
     *
     * @throws LostReservation its lease expired and another worker may hold it; nothing was changed
     *     (`redis/delete-after-reserved-was-migrated`)
     * @throws BrokerException or a subclass
     */
    public function delete(): void
    {
    }

    /**
     * Makes the job ready again after a delay; its attempts are kept (`redis/release-30`).
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay as for {@see Queue::later()}; null means 0
     * @throws InvalidArgumentException the delay is not a valid time
     * @throws LostReservation its lease expired and another worker may hold it; nothing was changed
     *     (`redis/release-after-reserved-was-migrated-DUPLICATES`)
     * @throws BrokerException or a subclass
     */
    public function release(mixed $delay = null): void
    {
    }

    /**
     * Buries the job, whatever its tries: it goes to the failed store with the reason `asked`, then the handler's
     * `failed($data, $e)` is called. In a worker `failed` fires and, when the handler returns, `processed`.
     *
     * A job that was already deleted, released or failed stays as it is, and no event fires.
     *
     * @param \Throwable|string|null $e what the store keeps and `failed()` receives; a text becomes a `RuntimeException`
     * @throws InvalidArgumentException neither a Throwable nor a text
     * @throws LostReservation its lease expired and another worker may hold it; nothing was changed
     * @throws BrokerException or a subclass: the failed store refused, the job stays reserved
     * @throws \Throwable what `failed()` throws; the job is failed nevertheless
     */
    public function fail(mixed $e = null): void
    {
    }

    /**
     * Reports progress for its {@see Status}. Does nothing unless the connection has `track`; never fails, never waits.
     *
     * @param int $percent limited to 0 to 100
     * @param string|null $message a text of at most 1 KiB; null removes the last one
     */
    public function progress(int $percent, ?string $message = null): void
    {
    }

    /**
     * Stores a result for its {@see Status}, which shows it when the attempt has ended without a release. Does nothing unless the
     * connection has `track`.
     *
     * @param mixed $data anything `json_encode()` can encode, at most 64 KiB of JSON
     * @throws InvalidArgumentException it cannot be encoded, or is longer
     */
    public function result(mixed $data): void
    {
    }

    /**
     * The number of this attempt, 1 for the first (`redis/pop-attempts-3`).
     *
     * @return int<1, max>
     */
    public function attempts(): int
    {
    }

    /**
     * Calls the handler's `failed($data, $e)`, when it has one. Settles nothing.
     *
     * @param \Throwable|null $e
     * @throws HandlerNotFoundException there is no such class
     */
    public function failed(mixed $e = null): void
    {
    }

    /**
     * The payload as popped, byte for byte, before its attempts were incremented (`redis/pop-one`).
     *
     * @return string
     */
    public function getRawBody(): mixed
    {
    }

    /**
     * The id: from the payload (`redis/pop-one`), or the row number in a database (`sqlite/pop-one`); with `track` always the one that push returned.
     *
     * @return string|int|null
     */
    public function getJobId(): mixed
    {
    }

    /**
     * `job` of the payload: `Class`, `Class@method` or a short name; `''` when the payload is poison.
     *
     * @return string
     */
    public function getName(): mixed
    {
    }

    /**
     * The queue it was reserved from.
     *
     * @return string
     */
    public function getQueue(): mixed
    {
    }

    /**
     * The name of the connection it was reserved on.
     *
     * @return string
     */
    public function getConnection(): mixed
    {
    }

    /**
     * The decoded payload, or one value of it.
     *
     * @param string|null $name a key; dots address nested arrays, as in `data.user.id`; null, `''` and `'0'` mean the whole
     * @param mixed $default the return value when there is no such key
     * @return mixed an array for the whole
     * @throws PoisonException it cannot be decoded
     */
    public function payload(?string $name = null, mixed $default = null): mixed
    {
    }

    /**
     * `maxTries` of the payload: attempts allowed, 0 for unlimited; null means that the worker's option applies.
     *
     * @return int|string|null as it stands in the payload (`worker/worker-payload-maxTries-string-0`)
     * @throws PoisonException it cannot be decoded
     */
    public function maxTries(): mixed
    {
    }

    /**
     * `timeout` of the payload, seconds.
     *
     * @return int|string|null as it stands in the payload
     * @throws PoisonException it cannot be decoded
     */
    public function timeout(): mixed
    {
    }

    /**
     * `timeoutAt` of the payload: the Unix timestamp after which it is no longer started.
     *
     * @return int|string|null as it stands in the payload
     * @throws PoisonException it cannot be decoded
     */
    public function timeoutAt(): mixed
    {
    }

    /** Whether it was deleted or buried through this object. */
    public function isDeleted(): bool
    {
    }

    /** Whether it was released through this object. */
    public function isReleased(): bool
    {
    }

    /** Whether it was settled through this object in any way. */
    public function isDeletedOrReleased(): bool
    {
    }

    /**
     * Whether its lease expired before it was settled, so that another worker may hold it. Known once a renewal or a settlement has
     * failed for that reason; the handler of a long job can check now and then and stop.
     */
    public function isLost(): bool
    {
    }

    /** Whether it is marked as failed. */
    public function hasFailed(): bool
    {
    }

    /** Marks it as failed. Settles nothing. */
    public function markAsFailed(): void
    {
    }
}
