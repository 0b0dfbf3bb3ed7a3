<?php

declare(strict_types=1);

namespace Ferry\Console;

use Ferry\Connection;

/** How many jobs a queue holds, as far as its broker tells. */
final class QueueCounts
{
    /** What a driver reports as 0 because its broker does not tell it. */
    private const UNKNOWN = ['amqp' => ['delayed', 'reserved']];

    /** For people, where something is unknown. */
    public const NOTE = '-: RabbitMQ does not report this number.';

    /** @return array{ready: int, delayed: ?int, reserved: ?int, failed: int, size: int} size is the sum of the first three that are known */
    public static function of(Connection $connection, string $queue, string $driver): array
    {
        return self::known($connection->stats($queue), $driver);
    }

    /** @param array{ready: int, delayed: int, reserved: int, failed: int} $stats @return array<string, ?int> */
    public static function known(array $stats, string $driver): array
    {
        $known = array_fill_keys(self::UNKNOWN[$driver] ?? [], null) + $stats;
        $counts = ['ready' => $known['ready'], 'delayed' => $known['delayed'], 'reserved' => $known['reserved'], 'failed' => $known['failed']];
        return $counts + ['size' => $counts['ready'] + (int) $counts['delayed'] + (int) $counts['reserved']];
    }

    /** Whether the broker shows waiting jobs without taking them. */
    public static function canPeek(string $driver): bool
    {
        return !isset(self::UNKNOWN[$driver]);
    }

    public static function shown(?int $count): string
    {
        return $count === null ? '-' : (string) $count;
    }
}
