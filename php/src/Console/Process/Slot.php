<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** The place of one worker: its process, the one that replaces it, and when the next may start. */
final class Slot
{
    public ?Child $child = null;
    /** Takes the child's place as soon as it is ready. */
    public ?Child $successor = null;
    public int $deaths = 0;
    public float $startAt = 0.0;
    /** No process is started for it any more. */
    public bool $over = false;

    public function __construct(public readonly int $number)
    {
    }

    public function mayStart(float $now): bool
    {
        return !$this->over && $this->successor === null && $now >= $this->startAt;
    }

    /** The child is gone: the successor takes its place, if there is one. */
    public function advance(): void
    {
        [$this->child, $this->successor] = [$this->successor, null];
    }

    /** The successor takes the place; returns the child that had it. */
    public function replace(): ?Child
    {
        $old = $this->child;
        $this->advance();
        return $old;
    }

    /**
     * The slot whose turn it is to be replaced: the one that has begun, else the one with the oldest child. With each HUP all are to be
     * replaced anew, and in a fixed order many of them would reach only the first.
     *
     * @param list<self> $slots
     */
    public static function toReplace(array $slots, int $generation): ?self
    {
        $old = array_filter($slots, fn (self $slot) => $slot->child !== null && $slot->child->generation < $generation);
        $begun = array_filter($old, fn (self $slot) => $slot->successor !== null);
        usort($old, fn (self $one, self $other) => $one->child->generation <=> $other->child->generation);
        return array_values($begun)[0] ?? $old[0] ?? null;
    }
}
