<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

use Ferry\Console\Refusal;
use Ferry\Console\ExitCode;

/** Where a connection's server listens, and the same connection by another address. */
final class Endpoint
{
    private const PORTS = ['redis' => 6379, 'amqp' => 5672, 'rabbitmq' => 5672, 'mysql' => 3306, 'mariadb' => 3306, 'postgres' => 5432, 'postgresql' => 5432, 'pgsql' => 5432];

    /** Names of the host and the port in a configuration: Ferry's, and those of ThinkPHP's database.php. */
    private const HOST = ['host', 'hostname'];
    private const PORT = ['port', 'hostport'];

    /** @param \Closure(string, int): (array<string, mixed>|string) $at the configuration with another host and port */
    private function __construct(public readonly string $host, public readonly int $port, private \Closure $at)
    {
    }

    /** @return array<string, mixed>|string a configuration for `Ferry\Queue::configure()` */
    public function at(string $host, int $port): array|string
    {
        return ($this->at)($host, $port);
    }

    /**
     * @param array<string, mixed>|string|null $config what --config said, or null
     * @param string|null $name the connection, null: the default one
     * @throws Refusal where the address cannot be replaced
     */
    public static function of(array|string|null $config, ?string $name): self
    {
        $config ??= getenv('FERRY_URL') ?: ini_get('ferry.url') ?: null;
        if ($config === null) {
            throw self::refusal('the configuration must come from --config, FERRY_URL or the ini setting ferry.url');
        }
        if (is_string($config)) {
            return self::ofUrl($config, fn ($url) => $url);
        }
        $name ??= $config['default'] ?? null;
        $connection = $name === null ? null : $config['connections'][$name] ?? null;
        if (!is_array($connection)) {
            throw self::refusal('the connection must be an array under `connections`');
        }
        $with = fn ($changed) => ['default' => $name, 'connections' => [$name => $changed]];
        return isset($connection['url'])
            ? self::ofUrl((string) $connection['url'], fn ($url) => $with(['url' => $url] + $connection))
            : self::ofArray($connection, $with);
    }

    /** @param \Closure(string): (array<string, mixed>|string) $with */
    private static function ofUrl(string $url, \Closure $with): self
    {
        $parts = parse_url($url);
        $scheme = strtolower($parts['scheme'] ?? '');
        if (!is_array($parts) || !isset($parts['host'], self::PORTS[$scheme])) {
            throw self::refusal('the server must be reached over TCP without TLS, not by ' . ($scheme === '' ? 'this DSN' : "$scheme:"));
        }
        $user = isset($parts['user']) ? $parts['user'] . (isset($parts['pass']) ? ":$parts[pass]" : '') . '@' : '';
        $rest = ($parts['path'] ?? '') . (isset($parts['query']) ? "?$parts[query]" : '');
        return new self($parts['host'], $parts['port'] ?? self::PORTS[$scheme], fn ($host, $port) => $with("$scheme://$user$host:$port$rest"));
    }

    /** @param array<string, mixed> $connection @param \Closure(array<string, mixed>): array<string, mixed> $with */
    private static function ofArray(array $connection, \Closure $with): self
    {
        $type = strtolower((string) ($connection['type'] ?? $connection['connector'] ?? ''));
        if (!isset(self::PORTS[$type]) || !empty($connection['tls'])) {
            throw self::refusal('the server must be reached over TCP without TLS');
        }
        $hostKey = self::firstOf(self::HOST, $connection);
        $portKey = self::firstOf(self::PORT, $connection);
        return new self(
            (string) ($connection[$hostKey] ?? '127.0.0.1'),
            (int) ($connection[$portKey] ?? self::PORTS[$type]),
            fn ($host, $port) => $with([$hostKey => $host, $portKey => $port] + $connection),
        );
    }

    /** @param list<string> $keys @param array<string, mixed> $connection */
    private static function firstOf(array $keys, array $connection): string
    {
        return current(array_filter($keys, fn ($key) => isset($connection[$key]))) ?: $keys[0];
    }

    private static function refusal(string $why): Refusal
    {
        return new Refusal("--network-delay goes through a local proxy: $why", ExitCode::WRONG);
    }
}
