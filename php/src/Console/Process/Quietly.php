<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** Makes calls that may warn: of an interrupted wait, or of a pipe whose reader is gone. An application's error handler would throw. */
final class Quietly
{
    /** @param string|null $warning the first warning of the call */
    public static function run(\Closure $call, ?string &$warning = null): mixed
    {
        set_error_handler(static function (int $level, string $message) use (&$warning): bool {
            $warning ??= $message;
            return true;
        });
        try {
            return $call();
        } finally {
            restore_error_handler();
        }
    }
}
