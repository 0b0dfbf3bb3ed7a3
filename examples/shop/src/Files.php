<?php

namespace Shop;

use RuntimeException;

/** Files that others may be reading. */
final class Files
{
    /** Writes a file beside the old one and puts it in its place, so that nobody, also after a crash, sees half of it. */
    public static function replace(string $path, callable $write): void
    {
        $file = "$path." . getmypid() . '.new';
        if ($write($file) === false || !rename($file, $path)) {
            throw new RuntimeException("$path cannot be written");
        }
    }
}
