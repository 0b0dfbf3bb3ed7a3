<?php

// What is done to the workers, and when. Moments are shares of the jobs, so that a slow machine sees the same as a fast one.

declare(strict_types=1);

namespace Bench;

final class Plan
{
    public const WORKERS = 8;
    /** Seconds until a dead worker's jobs come back. */
    public const RETRY_AFTER = 5;
    /** A worker is stopped so often, and for so long: too short for its leases to end. */
    public const STOP_EVERY = 1.3;
    public const SHORT_STOP = 0.4;
    /** The attack ends with this share of the work: every kill makes its jobs wait for RETRY_AFTER, and the last would wait for ever. */
    public const ENOUGH = 0.98;
    /** When nothing was done for so many seconds, something has stopped for good. */
    public const PATIENCE = 60.0;

    public function __construct(public readonly string $broker, public readonly int $jobs)
    {
    }

    /** Shares of the work after which something is done to the broker. */
    public function faults(): array
    {
        return match ($this->broker) {
            'redis' => [[1 / 3, 'kill'], [2 / 3, 'restart']],
            'rabbitmq' => [[1 / 9, 'close all'], [2 / 9, 'alarm'], [3 / 9, 'kill'], [4 / 9, 'close one'], [5 / 9, 'alarm'], [6 / 9, 'restart'], [7 / 9, 'close all']],
            'sqlite' => [],
        };
    }

    /** A worker is killed so often, in seconds. On RabbitMQ all that it held comes back at once and is run one by one. */
    public function killEvery(): float
    {
        return $this->broker === 'rabbitmq' ? 1.0 : 0.2;
    }

    /** Seconds of a stop that is long enough for others to take the worker's jobs: its leases or its heartbeats end. */
    public function longStop(): float
    {
        return $this->broker === 'rabbitmq' ? 12.0 : self::RETRY_AFTER + 2.0;
    }

    /** Every so many jobs one has a single try; 0 for none. Leases make workers reserve such jobs one by one, which is another bench. */
    public function singleTries(): int
    {
        return $this->broker === 'rabbitmq' ? 10 : 0;
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
