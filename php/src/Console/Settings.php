<?php

declare(strict_types=1);

namespace Ferry\Console;

/**
 * What can be read of a configuration beside the extension, which checks it and keeps it to itself: think-queue's array, or a DSN. For
 * showing and judging only. Nothing is known of what a bootstrap file configures.
 */
final class Settings
{
    private const RETRY_AFTER = 60;
    private const QUEUE = 'default';

    /** @param array<string, mixed>|string|null $config what --config says @param string $url what `FERRY_URL` or `ferry.url` says */
    public function __construct(private array|string|null $config, private string $url)
    {
    }

    /** Seconds, `never`, or null when the configuration is elsewhere. */
    public function retryAfter(?string $connection): int|string|null
    {
        $keys = $this->keys($connection);
        if ($keys === null) {
            return null;
        }
        // v1 and v2 call it `expire`, and null is for ever there.
        if (self::isFlat($keys)) {
            return array_key_exists('expire', $keys) ? self::seconds($keys['expire'] ?? 'never') : self::RETRY_AFTER;
        }
        return self::seconds($keys['retry_after'] ?? null) ?? self::RETRY_AFTER;
    }

    /** The connection's own queue, or null when the configuration is elsewhere. */
    public function queue(?string $connection): ?string
    {
        $keys = $this->keys($connection);
        $queue = $keys[self::isFlat($keys ?? []) ? 'default' : 'queue'] ?? '';
        return $keys === null ? null : (is_string($queue) && $queue !== '' ? $queue : self::QUEUE);
    }

    /** The keys of one connection; those of its DSN win. @return array<string, mixed>|null */
    private function keys(?string $connection): ?array
    {
        $config = $this->config ?? ($this->url === '' ? null : $this->url);
        if (!is_array($config)) {
            return $config === null ? null : self::ofUrl($config);
        }
        $all = $config['connections'] ?? null;
        $chosen = is_array($all) ? $all[$connection ?? $config['default'] ?? array_key_first($all)] ?? [] : $config;
        return self::ofUrl($chosen['url'] ?? '') + (is_array($chosen) ? $chosen : []);
    }

    /** @return array<string, mixed> */
    private static function ofUrl(mixed $url): array
    {
        parse_str(is_string($url) ? explode('?', $url, 2)[1] ?? '' : '', $query);
        return $query;
    }

    /** @param array<string, mixed> $keys */
    private static function isFlat(array $keys): bool
    {
        return isset($keys['connector']);
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
