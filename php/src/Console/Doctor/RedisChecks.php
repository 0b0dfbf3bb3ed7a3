<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

use Ferry\Console\Text;

/** Checks of a Redis server. Pure functions of its facts; a fact that could not be read is not judged. */
final class RedisChecks
{
    /** @param array<string, mixed> $facts @return list<Finding> */
    public static function all(array $facts): array
    {
        return array_values(array_filter([
            self::version($facts['version'] ?? null),
            self::role($facts['role'] ?? null),
            self::cluster($facts['cluster'] ?? null),
            self::eviction($facts['maxmemory'] ?? null, $facts['maxmemory_policy'] ?? null),
            self::memory($facts['used_memory'] ?? null, $facts['maxmemory'] ?? null),
            self::persistence($facts['aof'] ?? null, $facts['rdb'] ?? null),
            self::clients($facts['connected_clients'] ?? null, $facts['maxclients'] ?? null),
            self::distance($facts['rtt'] ?? null),
        ]));
    }

    public static function version(?string $version): ?Finding
    {
        return match (true) {
            $version === null => null,
            version_compare($version, '5.0', '<') => Finding::bad('Redis version', "$version is too old", 'Use Redis 5.0 or later.'),
            version_compare($version, '6.2', '<') => Finding::warn(
                'Redis version',
                "$version has no BLMOVE: idle workers poll for jobs instead of being woken",
                'Use Redis 6.2 or later.',
            ),
            default => Finding::ok('Redis version', $version),
        };
    }

    public static function role(?string $role): ?Finding
    {
        return match ($role) {
            null => null,
            'master' => Finding::ok('Role', 'primary'),
            default => Finding::bad(
                'Role',
                "this server is a replica ($role): pushes and workers are refused",
                'Point the connection at the primary.',
            ),
        };
    }

    public static function cluster(?bool $cluster): ?Finding
    {
        return $cluster === true
            ? Finding::bad(
                'Cluster',
                'the server is part of a cluster; Ferry uses one server and does not follow redirections',
                'Use a server without cluster mode for queues.',
            )
            : null;
    }

    /** Jobs have no time to live, so only the `allkeys` policies evict them. */
    public static function eviction(?int $limit, ?string $policy): ?Finding
    {
        $change = 'Set `maxmemory-policy noeviction`, in redis.conf and with CONFIG SET. If the server is also a cache, give queues a server of their own.';
        return match (true) {
            $policy === null => null,
            $policy === 'noeviction' => Finding::ok('Eviction', 'noeviction: when memory is full, pushes are refused and nothing is lost'),
            str_starts_with($policy, 'volatile-') => Finding::ok(
                'Eviction',
                "$policy: only keys with a time to live are evicted, and jobs have none",
            ),
            $limit === 0 => Finding::warn('Eviction', "$policy would evict whole queues, but `maxmemory` is not set", $change),
            default => Finding::bad('Eviction', "$policy: when memory is full, Redis evicts whole queues without an error", $change),
        };
    }

    public static function memory(?int $used, ?int $limit): ?Finding
    {
        if ($used === null || $limit === null) {
            return null;
        }
        $text = Text::bytes($used) . ($limit > 0 ? ' of ' . Text::bytes($limit) : ', no limit');
        return $limit > 0 && $used > 0.8 * $limit
            ? Finding::warn(
                'Redis memory',
                "$text used: pushes are refused at the limit",
                'Add workers, raise `maxmemory`, or remove what is not needed.',
            )
            : Finding::ok('Redis memory', $text);
    }

    public static function persistence(?bool $aof, ?bool $rdb): ?Finding
    {
        $change = 'Set `appendonly yes` and `appendfsync everysec`, in redis.conf and with CONFIG SET.';
        return match (true) {
            $aof === true => Finding::ok('Persistence', 'append-only file: a crash loses about the last second'),
            $aof === null => null,
            $rdb === true => Finding::warn(
                'Persistence',
                'snapshots only: a crash loses every job and every deletion since the last one',
                $change,
            ),
            $rdb === false => Finding::bad('Persistence', 'none: when Redis stops, all jobs are lost', $change),
            default => Finding::warn('Persistence', 'no append-only file; whether there are snapshots is unknown', $change),
        };
    }

    public static function clients(?int $now, ?int $most): ?Finding
    {
        return match (true) {
            $now === null || $most === null => null,
            $now > 0.8 * $most => Finding::warn(
                'Clients',
                "$now of $most connections are in use; further ones are refused. Each worker uses up to three, each PHP-FPM child one",
                'Raise `maxclients`, or start fewer processes.',
            ),
            default => Finding::ok('Clients', "$now of $most"),
        };
    }

    public static function distance(?float $seconds): ?Finding
    {
        $text = $seconds === null ? '' : sprintf('%.1f ms', 1000 * $seconds);
        return match (true) {
            $seconds === null => null,
            $seconds > 0.02 => Finding::warn(
                'Round trip',
                "$text: every push takes this long",
                'Move Redis closer, or push many jobs with one `bulk()`.',
            ),
            default => Finding::ok('Round trip', $text),
        };
    }
}
