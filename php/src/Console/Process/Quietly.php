<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** Calls whose warnings are no news: an interrupted wait, a pipe whose reader is gone. An application's error handler would throw them. */
final class Quietly
{
    public static function run(\Closure $call): mixed
    {
        set_error_handler(static fn () => true);
        try {
            return $call();
        } finally {
            restore_error_handler();
        }
    }
}
