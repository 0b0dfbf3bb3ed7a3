<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** How long a master waits for its children, in seconds. */
final class Limits
{
    /** What a worker may take after its last job to send deletions and give jobs back. */
    public const TIDY = 10.0;

    /**
     * @param float $start until a new child has its first answer of the broker; 0 is for ever
     * @param float|null $stop how long a running job may go on after TERM; null is its own timeout
     * @param float $grace how long a job that was stopped may take to leave
     */
    public function __construct(public readonly float $start, public readonly ?float $stop, public readonly float $grace)
    {
    }

    /** Until children that were told to leave are killed. `$times` is how often they were told; null is never. */
    public function untilKill(int $times): ?float
    {
        return match (true) {
            $times >= 3 => 0.0,
            $times === 2 => $this->grace + self::TIDY,
            $this->stop === null => null,
            default => $this->stop + $this->grace + self::TIDY,
        };
    }

    /** Whether a child that is starting takes too long. */
    public function isLate(Child $child): bool
    {
        return !$child->isReady() && $this->start > 0 && $child->lived() >= $this->start;
    }
}
