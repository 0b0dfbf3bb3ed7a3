<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** How long a master waits for its children, in seconds. */
final class Limits
{
    /** How long a worker may take after its last job to send deletions and give jobs back. */
    public const TIDY = 10.0;

    /**
     * @param float $start until a new child has its first answer from the broker; 0 is without limit
     * @param float|null $stop how long a running job may continue after TERM; null is its own timeout
     * @param float $grace how long a job that was stopped may take to end
     */
    public function __construct(public readonly float $start, public readonly ?float $stop, public readonly float $grace)
    {
    }

    /** Seconds until children that were told to exit are killed, or null for never. `$times` is how often they were told. */
    public function untilKill(int $times): ?float
    {
        return match (true) {
            $times >= 3 => 0.0,
            $times === 2 => $this->grace + self::TIDY,
            $this->stop === null => null,
            default => $this->stop + $this->grace + self::TIDY,
        };
    }

    /** Whether a child takes too long to start. */
    public function isLate(Child $child): bool
    {
        return !$child->isReady() && $this->start > 0 && $child->lived() >= $this->start;
    }
}
