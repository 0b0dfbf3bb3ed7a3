<?php

declare(strict_types=1);

namespace Ferry\Console;

use Symfony\Component\Console\Formatter\OutputFormatter;

/**
 * Values as people and machines read them. Job names, ids, payloads and messages come from outside: they must not steer a terminal, forge
 * a line or start a tag of symfony/console. Everything that the console prints goes through here.
 */
final class Text
{
    /** C0, DEL, C1, line separators and what changes the direction of writing. */
    private const CONTROL = '/[\x{00}-\x{1F}\x{7F}-\x{9F}\x{061C}\x{200E}\x{200F}\x{2028}-\x{202E}\x{2066}-\x{2069}]/u';

    /** Printable text in valid UTF-8, whatever the bytes were; for output without tags. `$keep` are control characters that stay. */
    public static function clean(string $text, string $keep = ''): string
    {
        $valid = preg_match('//u', $text) === 1 ? $text : self::scrub($text);
        return (string) preg_replace_callback(self::CONTROL, fn ($found) => str_contains($keep, $found[0]) ? $found[0] : self::named($found[0]), $valid);
    }

    /** mbstring may be the very thing that is missing: then only ASCII is left. */
    private static function scrub(string $text): string
    {
        return function_exists('mb_scrub') ? mb_scrub($text, 'UTF-8') : (string) preg_replace('/[^\x00-\x7F]/', '?', $text);
    }

    private static function named(string $character): string
    {
        return match ($character) {
            "\n" => '\n',
            "\r" => '\r',
            "\t" => '\t',
            default => sprintf('\u{%X}', self::codePoint($character)),
        };
    }

    private static function codePoint(string $character): int
    {
        return strlen($character) === 1 ? ord($character) : (int) hexdec(substr((string) json_encode($character), 3, 4));
    }

    /** For output with the tags of symfony/console: clean, in one line, at most this wide. */
    public static function cell(string $text, int $width = 0): string
    {
        return OutputFormatter::escape(self::cut(self::clean($text), $width));
    }

    /** At most this wide on a terminal; 0 is no limit. With `$keepEnd` the beginning goes, which says less in paths and class names. */
    public static function cut(string $text, int $width, bool $keepEnd = false): string
    {
        if ($width <= 0 || mb_strwidth($text, 'UTF-8') <= $width) {
            return $text;
        }
        // Not mb_strimwidth(), which the polyfill of mbstring does not have. A text may be a payload of many MiB: the loop sees little of it.
        $part = mb_substr($text, $keepEnd ? -4 * $width : 0, 4 * $width, 'UTF-8');
        while ($part !== '' && mb_strwidth($part, 'UTF-8') >= $width) {
            $part = mb_substr($part, $keepEnd ? 1 : 0, $keepEnd ? null : -1, 'UTF-8');
        }
        return $keepEnd ? "…$part" : $part . '…';
    }

    /** Several lines, indented, so that none of them passes for a line of the console. For output with tags. */
    public static function block(string $text): string
    {
        return OutputFormatter::escape('    ' . str_replace("\n", "\n    ", rtrim(self::clean(str_replace("\r\n", "\n", $text), keep: "\n\t"), "\n")));
    }

    public static function firstLine(string $text): string
    {
        return strtok($text, "\r\n") ?: '';
    }

    /** JSON in which control characters are escaped too: it may be printed on a terminal. Bytes that are not UTF-8 become U+FFFD. */
    public static function json(mixed $value, bool $pretty = false): string
    {
        $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION | JSON_INVALID_UTF8_SUBSTITUTE;
        $json = json_encode($value, $flags | ($pretty ? JSON_PRETTY_PRINT : 0));
        $escape = fn ($found) => $found[0] === "\n" ? "\n" : sprintf('\u%04x', self::codePoint($found[0]));
        return (string) preg_replace_callback(self::CONTROL, $escape, $json);
    }

    /**
     * One record for a machine: the key `payload`, or `payload_base64` when its bytes are not UTF-8.
     *
     * @return array<string, string>
     */
    public static function payload(string $payload): array
    {
        return mb_check_encoding($payload, 'UTF-8') ? ['payload' => $payload] : ['payload_base64' => base64_encode($payload)];
    }

    public static function moment(int $unix): string
    {
        return date('Y-m-d H:i:s', $unix);
    }

    /** `42 s`, `3 min`, `5 h`, `2 d`. */
    public static function span(float $seconds): string
    {
        return match (true) {
            $seconds < 120 => sprintf('%d s', $seconds),
            $seconds < 7200 => sprintf('%d min', $seconds / 60),
            $seconds < 172_800 => sprintf('%d h', $seconds / 3600),
            default => sprintf('%d d', $seconds / 86_400),
        };
    }

    public static function bytes(float $bytes): string
    {
        $units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
        $power = $bytes < 1 ? 0 : min((int) floor(log($bytes, 1024)), count($units) - 1);
        $value = $bytes / 1024 ** $power;
        return sprintf($value < 10 && $power > 0 ? '%.1f %s' : '%.0f %s', $value, $units[$power]);
    }

    public static function count(int $number, string $one, ?string $many = null): string
    {
        return $number === 1 ? "1 $one" : "$number " . ($many ?? $one . 's');
    }
}
