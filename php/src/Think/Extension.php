<?php

declare(strict_types=1);

namespace Ferry\Think;

/** Whether the extension `ferry` is there, and of an age that this library can work with. */
final class Extension
{
    /** The oldest extension whose methods this library calls. */
    public const LEAST = '0.1.0';

    public static function isLoaded(): bool
    {
        return extension_loaded('ferry');
    }

    /** @throws \RuntimeException it is missing or too old */
    public static function demand(): void
    {
        $problem = self::problem(self::isLoaded() ? (string) phpversion('ferry') : null);
        if ($problem !== null) {
            throw new \RuntimeException($problem);
        }
    }

    /** What is wrong with an extension of this version; null for a missing one. */
    public static function problem(?string $version): ?string
    {
        return match (true) {
            $version === null => 'the extension ferry is not loaded (add `extension=ferry` to php.ini; `php --ri ferry` shows whether this PHP has it)',
            version_compare($version, self::LEAST, '<') => sprintf(
                'the extension ferry %s is older than the Composer package ferry/php, which needs %s or later: update the extension',
                $version,
                self::LEAST,
            ),
            default => null,
        };
    }
}
