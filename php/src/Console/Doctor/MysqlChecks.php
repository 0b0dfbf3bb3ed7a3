<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** Checks of a MariaDB or MySQL server. Pure functions of its facts; a fact that could not be read is not judged. */
final class MysqlChecks
{
    /** @param array<string, mixed> $facts @return list<Finding> */
    public static function all(array $facts): array
    {
        return array_values(array_filter([
            self::version($facts['version'] ?? null, $facts['skip_locked'] ?? null),
            self::index($facts['index'] ?? null),
            self::collation($facts['queue_collation'] ?? null),
            self::connections($facts['max_connections'] ?? null, $facts['connections'] ?? null),
            self::readOnly($facts['read_only'] ?? null),
            self::flush($facts['flush_per_commit'] ?? null),
            self::failedTable($facts['failed_table'] ?? null),
        ]));
    }

    public static function version(?string $version, ?bool $skipLocked): ?Finding
    {
        return match (true) {
            $version === null => null,
            $skipLocked === false => Finding::warn(
                'Database version',
                "$version does not know SKIP LOCKED: one worker at a time reserves",
                'MariaDB 10.6 and MySQL 8.0 know it.',
            ),
            default => Finding::ok('Database version', $version),
        };
    }

    public static function index(?bool $present): ?Finding
    {
        return match ($present) {
            null => null,
            true => Finding::ok('Index', 'reserving walks an index of its own'),
            false => Finding::bad(
                'Index',
                'missing: each reserve reads all waiting jobs of the queue',
                'Run the CREATE INDEX that `ferry schema` prints.',
            ),
        };
    }

    public static function collation(?string $name): ?Finding
    {
        return match (true) {
            $name === null => null,
            $name === '' => Finding::ok('Collation', 'none: queue names are compared byte for byte'),
            str_ends_with($name, '_bin') => Finding::ok('Collation', "$name: queue names are compared byte for byte"),
            default => Finding::warn(
                'Collation',
                "the column `queue` is $name: queues whose names differ in case only are one",
                'Keep names of queues apart by more than case, or make the column utf8mb4_bin.',
            ),
        };
    }

    public static function connections(?int $most, ?int $open): ?Finding
    {
        return match (true) {
            $most === null => null,
            $open !== null && $open > $most * 0.8 => Finding::warn(
                'Connections',
                "$open of max_connections $most are open",
                'Raise max_connections: a worker opens up to six, a process of php-fpm one.',
            ),
            default => Finding::ok('Connections', "max_connections is $most" . ($open === null ? '' : ", $open are open")),
        };
    }

    public static function readOnly(?bool $is): ?Finding
    {
        return $is !== true ? null : Finding::bad('Server', 'read only: nothing can be pushed or worked', 'Connect to the primary server.');
    }

    public static function flush(?bool $each): ?Finding
    {
        return match ($each) {
            null => null,
            true => Finding::ok('Durability', 'each commit is flushed: it survives a power failure'),
            false => Finding::warn(
                'Durability',
                'innodb_flush_log_at_trx_commit is not 1: a power failure may lose the jobs of the last second',
                'Set it to 1 if no job may be lost.',
            ),
        };
    }

    public static function failedTable(?bool $present): ?Finding
    {
        return $present !== false ? null : Finding::bad(
            'Failed jobs',
            'their table is missing: a job that fails stays in its queue and is tried again',
            'Run the statements that `ferry schema` prints.',
        );
    }
}
