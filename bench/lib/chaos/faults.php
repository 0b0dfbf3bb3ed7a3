<?php

// What is done to a broker, and when it was: every fault has a beginning and an end, and what ran again in between may be laid to it.

declare(strict_types=1);

namespace Bench;

interface Faults
{
    /** The DSN of the workers and the producer. */
    public function url(): string;

    /** Begins a fault; those that take time go on by themselves. */
    public function begin(string $fault): void;

    /** Ends what is due. True when nothing is under way. */
    public function poll(): bool;

    /** @return list<array{string, float, float}> what, from when, until when */
    public function log(): array;

    public function stop(): void;
}

/** SQLite has no server that could fail. */
final class NoFaults implements Faults
{
    public function __construct(private string $url)
    {
    }

    public function url(): string
    {
        return $this->url;
    }

    public function begin(string $fault): void
    {
    }

    public function poll(): bool
    {
        return true;
    }

    public function log(): array
    {
        return [];
    }

    public function stop(): void
    {
    }
}
