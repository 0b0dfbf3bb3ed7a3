<?php

namespace Ferry;

/**
 * Keeps work from being done twice. A key is claimed before the work and marked as done after it.
 *
 * A process that dies in between leaves the claim; it lapses after `$lease` seconds, and then the work can be claimed again: **work done
 * in that window is done again**. docs/status.md shows how to make that harmless.
 *
 * A key is 1 to 255 bytes of UTF-8 without control characters.
 */
class Guard
{
    /**
     * Opens nothing.
     *
     * @param string|Connection|null $connection where claims lie, by name or itself; null means the default one
     * @param int $ttl seconds that done work is remembered, 1 to 31,536,000
     * @param int $lease seconds that the work may take, 1 to 31,536,000
     * @throws InvalidArgumentException one of them cannot be used
     * @throws ConfigException no such connection
     */
    public function __construct(mixed $connection = null, int $ttl = 86400, int $lease = 300)
    {
    }

    /**
     * Does the work unless it is done, and answers its result.
     *
     * The result is kept when it is at most 64 KiB of JSON; one that is not, or that `json_encode()` cannot write, is the answer of this
     * call alone, and later calls answer null. What `$work` throws gives the claim up. `exit()` and fatal errors leave it to its lease.
     *
     * @param callable(): mixed $work
     * @return mixed what `$work` returned; when it was done before: what was kept, objects as arrays, and `$work` is not called
     * @throws BusyException somebody else is at it
     * @throws LostReservation the work took longer than its lease and somebody else has begun it
     * @throws InvalidArgumentException the key cannot be used, or `$work` is not callable
     * @throws ConfigException this broker has no place for claims and `control` names no other
     * @throws BrokerException or one of its children: the claim could not be made, or the work is done and that could not be noted
     */
    public function once(string $key, mixed $work): mixed
    {
    }

    /**
     * Claims the work.
     *
     * @return string|null a token for {@see complete()} and {@see release()}; null when it is done or somebody else is at it
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or one of its children
     */
    public function claim(string $key): ?string
    {
    }

    /**
     * Marks claimed work as done. Also after the lease, as long as nobody else has claimed it.
     *
     * @param mixed $result kept as JSON, at most 64 KiB; null for none
     * @return bool false when nobody holds the work by this token; nothing was changed
     * @throws InvalidArgumentException the key cannot be used, or the result cannot be kept
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or one of its children
     */
    public function complete(string $key, string $token, mixed $result = null): bool
    {
    }

    /**
     * Gives a claim up, so that the work can be claimed again at once.
     *
     * @return bool false when nobody holds the work by this token, or it is done; nothing was changed
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or one of its children
     */
    public function release(string $key, string $token): bool
    {
    }

    /**
     * Whether the work is done.
     *
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or one of its children
     */
    public function isDone(string $key): bool
    {
    }

    /**
     * Forgets that the work is claimed or done: it can be claimed again at once.
     *
     * @return bool false when nothing was known of it
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or one of its children
     */
    public function forget(string $key): bool
    {
    }
}
