<?php

// What is done to the workers, and when. Moments are shares of the jobs, so that a slow machine sees the same as a fast one.

declare(strict_types=1);

namespace Bench;

final class Plan
{
    public const WORKERS = 8;
    /** Seconds until a dead worker's jobs come back. */
    public const RETRY_AFTER = 5;
    /** A worker is killed so often, in seconds. */
    public const KILL_EVERY = 0.2;
    /** A worker is stopped so often, and for so long: too short for its leases to end. */
    public const STOP_EVERY = 1.3;
    public const SHORT_STOP = 0.4;
    /** Long enough for others to take its jobs. */
    public const LONG_STOP = self::RETRY_AFTER + 2.0;
    /** The attack ends with this share of the work: every kill makes its jobs wait for RETRY_AFTER, and the last would wait for ever. */
    public const ENOUGH = 0.98;
    /** When nothing was done for so many seconds, something has stopped for good. */
    public const PATIENCE = 60.0;

    public function __construct(public readonly int $jobs)
    {
    }

    /** Shares of the work after which Redis is restarted: once killed, once asked to leave. */
    public function restarts(): array
    {
        return [[1 / 3, SIGKILL], [2 / 3, SIGTERM]];
    }

    /** Shares of the work after which a worker is stopped for long. */
    public function longStops(): array
    {
        return [1 / 4, 1 / 2];
    }

    /** The longest a job takes, in microseconds: few jobs take longer, so that the attack lasts. */
    public function longestJob(): int
    {
        return $this->jobs <= 20_000 ? 12_000 : 1_500;
    }
}
