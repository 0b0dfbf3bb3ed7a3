<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** One thing that was checked: its state, what that means, and what to change. */
final class Finding
{
    public const OK = 'ok';
    /** Worth knowing. It does not change the exit code. */
    public const NOTE = 'note';
    public const WARN = 'warn';
    public const BAD = 'bad';

    private function __construct(public readonly string $level, public readonly string $topic, public readonly string $means, public readonly string $change)
    {
    }

    public static function ok(string $topic, string $means): self
    {
        return new self(self::OK, $topic, $means, '');
    }

    public static function note(string $topic, string $means, string $change = ''): self
    {
        return new self(self::NOTE, $topic, $means, $change);
    }

    public static function warn(string $topic, string $means, string $change): self
    {
        return new self(self::WARN, $topic, $means, $change);
    }

    public static function bad(string $topic, string $means, string $change): self
    {
        return new self(self::BAD, $topic, $means, $change);
    }

    /** @param list<self> $findings the exit code for all of them */
    public static function worst(array $findings): int
    {
        $ranks = array_map(fn (self $finding) => ['ok' => 0, 'note' => 0, 'warn' => 1, 'bad' => 2][$finding->level], $findings);
        return max([0, ...$ranks]);
    }
}
