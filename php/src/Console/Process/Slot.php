<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** The place of one worker: who has it, who is to have it, and when the next may start. */
final class Slot
{
    public ?Child $child = null;
    /** Started to take the child's place as soon as it is ready. */
    public ?Child $newcomer = null;
    public int $deaths = 0;
    public float $startAt = 0.0;
    /** Nobody takes this place any more. */
    public bool $over = false;

    public function __construct(public readonly int $number)
    {
    }

    public function mayStart(float $now): bool
    {
        return !$this->over && $this->newcomer === null && $now >= $this->startAt;
    }

    /** The child's place is free, or the newcomer's at once. */
    public function vacate(): void
    {
        [$this->child, $this->newcomer] = [$this->newcomer, null];
    }

    /** The newcomer has the place; answers who had it. */
    public function replace(): ?Child
    {
        $old = $this->child;
        $this->vacate();
        return $old;
    }
}
