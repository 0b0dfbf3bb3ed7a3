<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** What can be read of a configuration before the extension reads it: think-queue's array, or a DSN. Reads `retry_after` only. */
final class Settings
{
    private const DEFAULT = 60;

    /** @param array<string, mixed>|string|null $config what --config says @param string $url what `FERRY_URL` or `ferry.url` says */
    public function __construct(private array|string|null $config, private string $url)
    {
    }

    /** Seconds, `never`, or null when the configuration is elsewhere. */
    public function retryAfter(?string $connection): int|string|null
    {
        $config = $this->config ?? ($this->url === '' ? null : $this->url);
        return match (true) {
            $config === null => null,
            is_string($config) => self::ofUrl($config),
            isset($config['connections']) => self::ofConnection(self::chosen($config, $connection)),
            // The flat array of v1 and v2: null is for ever there.
            default => array_key_exists('expire', $config) ? self::seconds($config['expire'] ?? 'never') : self::DEFAULT,
        };
    }

    /** @param array<string, mixed> $config @return array<string, mixed> */
    private static function chosen(array $config, ?string $name): array
    {
        $all = $config['connections'];
        $chosen = $all[$name ?? $config['default'] ?? array_key_first($all)] ?? [];
        return is_array($chosen) ? $chosen : [];
    }

    /** @param array<string, mixed> $connection */
    private static function ofConnection(array $connection): int|string|null
    {
        $url = $connection['url'] ?? '';
        $said = is_string($url) && $url !== '' ? self::said($url) : null;
        return $said ?? self::seconds($connection['retry_after'] ?? null) ?? self::DEFAULT;
    }

    private static function ofUrl(string $url): int|string|null
    {
        return self::said($url) ?? self::DEFAULT;
    }

    private static function said(string $url): int|string|null
    {
        parse_str(explode('?', $url, 2)[1] ?? '', $query);
        return self::seconds($query['retry_after'] ?? null);
    }

    public static function seconds(mixed $value): int|string|null
    {
        return match (true) {
            is_numeric($value) => (int) $value,
            is_string($value) && strtolower($value) === 'never' => 'never',
            default => null,
        };
    }
}
