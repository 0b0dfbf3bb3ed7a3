<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Console\ExitCode;

/** Decides what follows the end of a child. Pure: no clock, no process. */
final class RespawnPolicy
{
    /** A process that ran this long was not broken from the start: the next one starts at once. */
    public const OLD = 30.0;

    /** A memory limit that is reached this soon is below what PHP needs to start. */
    private const TOO_SOON = 1.0;

    private const LONGEST = 30.0;

    /** After so many failures in a row, work that was to end by itself ends. */
    private const HOPELESS = 5;

    /** @param string $kind what the children are for: one of the constants below */
    public function __construct(private string $kind)
    {
    }

    /** Run until told to stop. */
    public const ENDLESS = 'endless';
    /** Run until the queue is empty (`--stop-when-empty`). */
    public const UNTIL_EMPTY = 'until empty';
    /** One run each (`--once`). */
    public const ONE_RUN = 'one run';
    /** One run each, without end (`listen`). */
    public const FRESH = 'fresh';

    /** Whether a child that ended with this code is not replaced. */
    public function isOver(int $code): bool
    {
        return match ($this->kind) {
            self::ENDLESS, self::FRESH => false,
            self::ONE_RUN => true,
            // The others are limits, or the end of one job: the queue is not empty yet.
            self::UNTIL_EMPTY => !in_array($code, [ExitCode::MEMORY, ExitCode::ENDED_BY_HANDLER, ExitCode::HUNG], true) && $code < 128,
        };
    }

    /** Whether `--once` or `--stop-when-empty` would never end, because its process keeps failing. */
    public function isHopeless(int $deaths): bool
    {
        return in_array($this->kind, [self::ONE_RUN, self::UNTIL_EMPTY], true) && $deaths >= self::HOPELESS;
    }

    /** Whether the child ended as it should, or failed. */
    public function isOrderly(int $code, float $lived, bool $ready): bool
    {
        return match ($code) {
            ExitCode::DONE => $ready,
            ExitCode::MEMORY => $ready && $lived >= self::TOO_SOON,
            // A handler that ends its process, or hangs, is no failure of the child where each job has a process.
            ExitCode::ENDED_BY_HANDLER, ExitCode::HUNG => $ready && $this->kind === self::FRESH,
            default => false,
        };
    }

    /** Seconds until the next start after this many failures in a row: 0, 1, 2, 4 ... 30. */
    public function delay(int $deaths): float
    {
        return $deaths <= 1 ? 0.0 : min(self::LONGEST, 2.0 ** min($deaths - 2, 10));
    }

    /** Failures in a row, this end included. */
    public function deaths(int $before, int $code, float $lived, bool $ready): int
    {
        return match (true) {
            $this->isOrderly($code, $lived, $ready) => 0,
            $lived >= self::OLD => 1,
            default => $before + 1,
        };
    }
}
