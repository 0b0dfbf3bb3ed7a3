<?php

declare(strict_types=1);

namespace Ferry\Think;

use Composer\InstalledVersions;

/**
 * The array of `config/queue.php` as `Ferry\Queue::configure()` takes it. Pure: no framework is asked, nothing is opened.
 *
 * A connection is Ferry's when its `type` (v1 and v2: `connector`) is `ferry` or {@see Connector}. All its other keys stay; `driver` says
 * where the jobs are, and without it the keys tell: `table` means the database, anything else Redis.
 */
final class Settings
{
    private const DATABASES = ['mysql' => 'mysql', 'mariadb' => 'mysql', 'pgsql' => 'postgres', 'postgres' => 'postgres', 'postgresql' => 'postgres', 'sqlite' => 'sqlite'];

    /** The name of the only connection of v1 and v2. */
    public const ONLY = 'default';

    public static function isOurs(mixed $connection): bool
    {
        $type = is_array($connection) ? $connection['type'] ?? $connection['connector'] ?? null : null;
        return is_string($type) && (strtolower($type) === 'ferry' || is_a(ltrim($type, '\\'), Connector::class, true));
    }

    /** The console looks at such a connection before anything is changed: its server is in config/database.php as well. */
    private static function isDatabaseOfThink(mixed $connection): bool
    {
        $type = is_array($connection) ? $connection['type'] ?? null : null;
        return is_string($type) && strtolower($type) === 'database' && isset($connection['table']) && !isset($connection['driver']) && !isset($connection['url']);
    }

    /**
     * @param array<string, mixed> $queue config/queue.php, of any version
     * @param array<string, mixed> $databases config/database.php
     * @param string|null $family which think-queue writes the payloads, where a connection does not say it
     * @return array<string, mixed>
     */
    public static function whole(array $queue, array $databases, ?string $family = null): array
    {
        if (!isset($queue['connections'])) {
            $queue = ['default' => self::ONLY, 'connections' => [self::ONLY => self::ofFlat($queue)]];
        }
        foreach ($queue['connections'] as $name => $connection) {
            if (self::isOurs($connection) || self::isDatabaseOfThink($connection)) {
                $queue['connections'][$name] = self::converted($queue, $databases, $name) + ($family === null ? [] : ['family' => $family]);
            }
        }
        if (isset($queue['default'])) {
            // think-queue takes a connection that is not there for one that runs jobs at once.
            $queue['connections'] += [$queue['default'] => ['type' => 'sync']];
        }
        return array_intersect_key($queue, ['default' => 0, 'connections' => 0]) + ['failed' => self::failed((array) ($queue['failed'] ?? []))];
    }

    /**
     * Why a connection cannot be used; null when it can. Only that connection is refused.
     *
     * @param array<string, mixed> $queue as for {@see whole()}
     * @param array<string, mixed> $databases config/database.php
     */
    public static function problem(array $queue, array $databases, string $name): ?string
    {
        $connection = isset($queue['connections']) ? $queue['connections'][$name] ?? [] : self::ofFlat($queue);
        try {
            self::isOurs($connection) && self::connection($connection, $databases, '');
            return null;
        } catch (\InvalidArgumentException $problem) {
            return $problem->getMessage();
        }
    }

    /**
     * Why think-queue v3 takes a connection for `sync`, which has no jobs to work; null when it does not.
     *
     * @param array<string, mixed> $queue config/queue.php
     */
    public static function takenForSync(array $queue, string $name): ?string
    {
        $connections = (array) ($queue['connections'] ?? []);
        $connection = (array) ($connections[$name] ?? []);
        if (isset($connection['type'])) {
            return null;
        }
        $takes = 'think-queue takes it for `sync`, which has no jobs to work';
        if ($connection === []) {
            return "config/queue.php has no connection `$name` (it has `" . implode('`, `', array_keys($connections)) . "`): $takes";
        }
        $write = isset($connection['driver']) ? ': write `type` in place of `driver`' : '';
        return "queue connection `$name` has no `type`, and $takes$write";
    }

    private static function converted(array $queue, array $databases, string|int $name): array
    {
        try {
            return self::connection($queue['connections'][$name], $databases, (string) ($queue['failed']['table'] ?? 'failed_jobs'));
        } catch (\InvalidArgumentException) {
            // Refused when it is used.
            return ['type' => 'database'];
        }
    }

    /** think-queue takes a class as `type` too: that store is its own. */
    private static function failed(array $failed): array
    {
        $isDiscarded = strtolower((string) ($failed['type'] ?? '')) === 'discard';
        return ['type' => $isDiscarded ? 'discard' : 'keep'] + array_intersect_key($failed, ['table' => 0]);
    }

    /** The flat array of v1 and v2 as one connection of v3. @param array<string, mixed> $flat */
    private static function ofFlat(array $flat): array
    {
        $connection = ['type' => $flat['connector'] ?? 'sync', 'queue' => $flat['default'] ?? 'default'];
        // null: a reserved job never becomes ready again.
        $connection['retry_after'] = array_key_exists('expire', $flat) ? $flat['expire'] ?? 'never' : 60;
        return $connection + array_diff_key($flat, ['connector' => 0, 'default' => 0, 'expire' => 0, 'dsn' => 0])
            + (isset($flat['dsn']) ? ['connection' => $flat['dsn']] : []);
    }

    /** @param array<string, mixed> $connection @param array<string, mixed> $databases */
    private static function connection(array $connection, array $databases, string $failedTable): array
    {
        $driver = strtolower((string) ($connection['driver'] ?? (isset($connection['table']) ? 'database' : 'redis')));
        unset($connection['type'], $connection['driver']);
        if (isset($connection['url'])) {
            return $connection;
        }
        $isDatabase = $driver === 'database' || isset(self::DATABASES[$driver]);
        if ($isDatabase && array_intersect_key($connection, ['host' => 0, 'hostname' => 0, 'path' => 0, 'database' => 0]) === []) {
            return self::fromDatabase($connection, $databases, $failedTable);
        }
        return ['type' => self::DATABASES[$driver] ?? $driver] + $connection;
    }

    /** Fills what the tables of think-queue have from config/database.php. */
    private static function fromDatabase(array $connection, array $databases, string $failedTable): array
    {
        $database = self::database($connection['connection'] ?? null, $databases);
        $type = self::DATABASES[strtolower((string) ($database['type'] ?? ''))] ?? null;
        if ($type === null) {
            throw new \InvalidArgumentException(sprintf(
                'the queue connection uses a database of type `%s` from config/database.php; Ferry works with mysql, pgsql and sqlite (add `url` to the connection, or use Redis)',
                is_scalar($database['type'] ?? null) ? $database['type'] : '?',
            ));
        }
        $prefix = (string) ($database['prefix'] ?? '');
        $tables = ['table' => $prefix . ($connection['table'] ?? 'jobs'), 'failed_table' => $connection['failed_table'] ?? $prefix . $failedTable];
        $place = $type === 'sqlite' ? ['path' => $database['database'] ?? ''] : self::server($database);
        unset($connection['connection'], $connection['table']);
        return ['type' => $type] + $tables + $place + $connection;
    }

    /** @param array<string, mixed> $databases of ThinkPHP 6 and later, or the flat array of 5 */
    private static function database(mixed $name, array $databases): array
    {
        if (is_array($name) && $name !== []) {
            return $name + $databases;
        }
        if (!isset($databases['connections'])) {
            return is_string($name) && $name !== '' && is_array($databases[$name] ?? null) ? $databases[$name] : $databases;
        }
        $name = is_string($name) && $name !== '' ? $name : (string) ($databases['default'] ?? '');
        return $databases['connections'][$name]
            ?? throw new \InvalidArgumentException("config/database.php has no connection `$name`, which the queue connection names");
    }

    /** The first server of a list: that is the one which ThinkPHP writes to. */
    private static function server(array $database): array
    {
        $first = fn (string $key) => is_array($database[$key] ?? null) ? reset($database[$key]) : explode(',', (string) ($database[$key] ?? ''))[0];
        $socket = (string) ($database['socket'] ?? '');
        $place = ['host' => $socket !== '' ? $socket : $first('hostname'), 'port' => $first('hostport'), 'username' => $first('username')];
        // A password may hold a comma: it is a list only where the hosts are one.
        $isList = is_array($database['password'] ?? null) || ($database['deploy'] ?? 0);
        $place['password'] = $isList ? $first('password') : (string) ($database['password'] ?? '');
        $place['database'] = $first('database');
        return array_filter($place, fn ($value) => $value !== '' && $value !== null);
    }

    /**
     * Whether the failed jobs of a connection lie in the very table that think-queue's own failed store uses.
     *
     * @param array<string, mixed> $queue config/queue.php
     * @param array<string, mixed> $databases config/database.php
     */
    public static function sharesFailedTable(array $queue, array $databases, string $name): bool
    {
        $connection = $queue['connections'][$name] ?? [];
        $used = ($connection['connection'] ?? null) ?: ($databases['default'] ?? null);
        $ferry = self::connection($connection, $databases, (string) ($queue['failed']['table'] ?? 'failed_jobs'));
        // think-queue's store is in the default database, whatever `failed.database` says.
        return strtolower((string) ($queue['failed']['type'] ?? 'none')) === 'database' && in_array($ferry['type'] ?? '', self::DATABASES, true)
            && !isset($connection['url'], $connection['failed_table']) && $used === ($databases['default'] ?? null);
    }

    /** v3.0.0 to v3.0.4 have other keys; v1 and v2 other keys and counts. */
    public static function family(): ?string
    {
        $version = class_exists(InstalledVersions::class) && InstalledVersions::isInstalled('topthink/think-queue')
            ? (string) InstalledVersions::getVersion('topthink/think-queue') : '';
        return match (true) {
            !preg_match('/^v?\d/', $version) => null,
            version_compare($version, '3.0.0', '<') => 'think1',
            version_compare($version, '3.0.5', '<') => 'think3-legacy',
            default => null,
        };
    }
}
