<?php

namespace Ferry;

/**
 * Keeps work from being done twice. A key is claimed before the work and marked as completed after it.
 *
 * A process that dies in between leaves the claim; it expires after `$lease` seconds, and then the work can be claimed again: **work done
 * in that window is done again**. docs/status.md shows how to make that harmless.
 *
 * A key is 1 to 255 bytes of UTF-8 without control characters.
 */
class Guard
{
    /**
     * Opens nothing.
     *
     * @param string|Connection|null $connection where claims are stored, by name or as an object; null means the default one
     * @param int $ttl seconds that completed work is remembered, 1 to 31,536,000
     * @param int $lease seconds that the work may take, 1 to 31,536,000
     * @throws InvalidArgumentException one of them cannot be used
     * @throws ConfigException no such connection
     */
    public function __construct(mixed $connection = null, int $ttl = 86400, int $lease = 300)
    {
    }

    /**
     * Does the work unless it is completed, and returns its result.
     *
     * The result is stored when it is at most 64 KiB of JSON; one that is not, or that `json_encode()` cannot encode, is returned by this
     * call alone, and later calls return null. An exception of `$work` releases the claim. `exit()` and fatal errors leave it until its lease expires.
     *
     * @template T
     * @param callable(): T $work
     * @return T what `$work` returned; when it was completed before: what was stored, objects as arrays, and `$work` is not called
     * @throws BusyException another process is doing it
     * @throws LostReservation the work took longer than its lease and another process has started it
     * @throws InvalidArgumentException the key cannot be used, or `$work` is not callable
     * @throws ConfigException this broker cannot store claims and `control` names no other
     * @throws BrokerException or a subclass: the claim could not be made, or the work is done and that could not be stored
     */
    public function once(string $key, mixed $work): mixed
    {
    }

    /**
     * Claims the work.
     *
     * @return string|null a token for {@see complete()} and {@see release()}; null when it is completed or in progress elsewhere
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or a subclass
     */
    public function claim(string $key): ?string
    {
    }

    /**
     * Marks claimed work as completed. Also after the lease, as long as no other process has claimed it.
     *
     * @param mixed $result stored as JSON, at most 64 KiB; null for none
     * @return bool false when the work is not claimed with this token; nothing was changed
     * @throws InvalidArgumentException the key cannot be used, or the result cannot be stored
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or a subclass
     */
    public function complete(string $key, string $token, mixed $result = null): bool
    {
    }

    /**
     * Releases a claim, so that the work can be claimed again at once.
     *
     * @return bool false when the work is not claimed with this token, or is completed; nothing was changed
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or a subclass
     */
    public function release(string $key, string $token): bool
    {
    }

    /**
     * Whether the work is completed.
     *
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or a subclass
     */
    public function isDone(string $key): bool
    {
    }

    /**
     * Forgets that the work is claimed or completed: it can be claimed again at once.
     *
     * @return bool false when nothing was stored for it
     * @throws InvalidArgumentException the key cannot be used
     * @throws ConfigException as for {@see once()}
     * @throws BrokerException or a subclass
     */
    public function forget(string $key): bool
    {
    }
}
