<?php

namespace Ferry;

/**
 * A job that is ours until it is settled or its lease ends. Handlers get one; {@see Queue::pop()} hands one out.
 *
 * It can be settled once: the first `delete()` or `release()` counts, a later one is ignored. A handler that returns without either
 * leaves the job reserved, and it comes back after `retry_after` (worker option `on_return`).
 *
 * Without Composer's package it also answers to `think\queue\Job`.
 */
class Job
{
    /** Not for callers: jobs come from a queue. */
    public function __construct()
    {
    }

    /**
     * Runs the handler, as a worker would. Settles nothing by itself; what the handler throws is the caller's.
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
     * In a worker with `settle => pipelined` this returns at once, and a loss is told by the event `settle_lost`.
     *
     * @throws LostReservation its lease ended and somebody else may have it; nothing was changed
     *     (`redis/delete-after-reserved-was-migrated`)
     * @throws BrokerException or one of its children
     */
    public function delete(): void
    {
    }

    /**
     * Lets the job come back after a delay, with its attempts kept (`redis/release-30`).
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay as for {@see Queue::later()}; null means 0
     * @throws InvalidArgumentException the delay is no time
     * @throws LostReservation its lease ended and somebody else may have it; nothing was changed
     *     (`redis/release-after-reserved-was-migrated-DUPLICATES`)
     * @throws BrokerException or one of its children
     */
    public function release(mixed $delay = null): void
    {
    }

    /**
     * Buries the job for good, whatever its tries: it lies in the failed store with the reason `asked`, then the handler's
     * `failed($data, $e)` is called. In a worker the events are `failed` and, when the handler returns, `processed`.
     *
     * A job that was deleted, released or failed already stays as it is, and nobody is told.
     *
     * @param \Throwable|string|null $e what the store keeps and `failed()` gets; a text comes as a `RuntimeException`
     * @throws InvalidArgumentException neither a Throwable nor a text
     * @throws LostReservation its lease ended and somebody else may have it; nothing was changed
     * @throws BrokerException or one of its children: the failed store refused, the job stays reserved
     * @throws \Throwable what `failed()` throws; the job is failed nevertheless
     */
    public function fail(mixed $e = null): void
    {
    }

    /**
     * Says how far it is, for its {@see Status}. Does nothing unless the connection has `track`; never fails, never waits.
     *
     * @param int $percent 0 to 100; what lies outside is cut
     * @param string|null $message in words, at most 1 KiB; null takes the last one away
     */
    public function progress(int $percent, ?string $message = null): void
    {
    }

    /**
     * Keeps a result for its {@see Status}, which shows it when the attempt is over and was not put off. Does nothing unless the
     * connection has `track`.
     *
     * @param mixed $data anything `json_encode()` can write, at most 64 KiB of JSON
     * @throws InvalidArgumentException it cannot be written, or is longer
     */
    public function result(mixed $data): void
    {
    }

    /**
     * Which attempt this is, 1 for the first (`redis/pop-attempts-3`).
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
     * The payload as popped, byte for byte, before its attempts were raised (`redis/pop-one`).
     *
     * @return string
     */
    public function getRawBody(): mixed
    {
    }

    /**
     * The id: from the payload (`redis/pop-one`), or the row number (`sqlite/pop-one`); with `track` always the one that push answered.
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
     * @param string|null $name a key; dots lead into nested arrays, as in `data.user.id`; null, `''` and `'0'` mean the whole
     * @param mixed $default the answer when there is no such key
     * @return mixed an array for the whole
     * @throws PoisonException it cannot be decoded
     */
    public function payload(?string $name = null, mixed $default = null): mixed
    {
    }

    /**
     * `maxTries` of the payload: attempts allowed, 0 for unlimited; null means that the worker's option counts.
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
     * `timeoutAt` of the payload: the unix second after which it is not started any more.
     *
     * @return int|string|null as it stands in the payload
     * @throws PoisonException it cannot be decoded
     */
    public function timeoutAt(): mixed
    {
    }

    /** Whether it was deleted, or went to the failed store, here. */
    public function isDeleted(): bool
    {
    }

    /** Whether it was released here. */
    public function isReleased(): bool
    {
    }

    /** Whether it was settled here in any way. */
    public function isDeletedOrReleased(): bool
    {
    }

    /**
     * Whether its lease ended before it was settled, so that somebody else may have it. Known once a renewal or a settlement was
     * told so; the handler of a long job can ask now and then and stop.
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
