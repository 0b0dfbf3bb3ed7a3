<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** Collects the signals of this process. Without pcntl there are none. */
final class Signals
{
    // The numbers of Linux on every platform that Ferry supports: pcntl, which names them, may be missing.
    public const HUP = 1;
    public const INT = 2;
    public const QUIT = 3;
    public const KILL = 9;
    public const USR2 = 12;
    public const TERM = 15;
    public const CHLD = 17;
    public const CONT = 18;

    /** @var list<int> */
    private array $caught = [];

    public static function areSupported(): bool
    {
        return function_exists('pcntl_signal') && function_exists('pcntl_signal_dispatch');
    }

    public function catch(): void
    {
        if (!self::areSupported()) {
            return;
        }
        foreach ([self::HUP, self::INT, self::QUIT, self::USR2, self::TERM, self::CONT] as $signal) {
            pcntl_signal($signal, function (int $signal) {
                $this->caught[] = $signal;
            }, false);
        }
        // Only to wake this process when a child ends.
        pcntl_signal(self::CHLD, static fn () => null, false);
    }

    /** @return list<int> those that came since the last call */
    public function take(): array
    {
        if (self::areSupported()) {
            pcntl_signal_dispatch();
        }
        [$caught, $this->caught] = [$this->caught, []];
        return $caught;
    }
}
