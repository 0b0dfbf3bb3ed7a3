<?php

namespace Shop\Stage;

use RuntimeException;

/** Waiting for what must happen. */
final class Wait
{
    /**
     * @param callable(): bool $holds asked again and again
     * @param (callable(): string)|null $log shown when it was in vain
     */
    public static function until(callable $holds, string $what, float $seconds = 60, ?callable $log = null): void
    {
        $end = microtime(true) + $seconds;
        while (!$holds()) {
            if (microtime(true) > $end) {
                throw new RuntimeException("waited $seconds s in vain until $what" . ($log === null ? '' : ":\n" . substr($log(), -4000)));
            }
            usleep(5000);
        }
    }
}
