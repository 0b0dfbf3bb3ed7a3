<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** Checks of a PostgreSQL server. Pure functions of its facts; a fact that could not be read is not judged. */
final class PostgresChecks
{
    /** Connections of a worker that reserves, settles, reports and waits. */
    private const OF_A_WORKER = 5;

    /** @param array<string, mixed> $facts @return list<Finding> */
    public static function all(array $facts): array
    {
        return array_values(array_filter([
            self::version($facts['version'] ?? null),
            self::writable($facts['read_only'] ?? null),
            self::index($facts['due_index'] ?? null, $facts['channel'] ?? ''),
            self::waiting($facts['waiting'] ?? null),
            self::connections($facts['connections'] ?? null, $facts['max_connections'] ?? null),
            self::isolation($facts['isolation'] ?? null),
            self::durability($facts['synchronous_commit'] ?? null),
            self::encoding($facts['encoding'] ?? null),
        ]));
    }

    public static function version(?string $version): ?Finding
    {
        return $version === null ? null : Finding::ok('PostgreSQL version', $version);
    }

    public static function writable(?bool $read_only): ?Finding
    {
        return match ($read_only) {
            null => null,
            false => Finding::ok('Role', 'can be written'),
            true => Finding::bad('Role', 'read only: a standby, or default_transaction_read_only is on', 'Connect to the primary.'),
        };
    }

    public static function index(?string $state, string $channel): ?Finding
    {
        return match ($state) {
            null => null,
            'present' => Finding::ok('Index', 'a reserve costs the same whatever waits'),
            default => Finding::bad(
                'Index',
                "`{$channel}_available` is missing: each reserve reads all rows of the table",
                'Create it: `ferry schema` prints the statement.',
            ),
        };
    }

    public static function waiting(?string $how): ?Finding
    {
        return match ($how) {
            null => null,
            'LISTEN' => Finding::ok('Waiting', 'pushes of Ferry wake workers at once; other inserts are found within a second'),
            default => Finding::warn(
                'Waiting',
                'a pooler is between Ferry and the server: no LISTEN, no prepared statements; workers poll',
                'Let workers connect to the server itself. Web requests may go through the pooler.',
            ),
        };
    }

    public static function connections(?int $used, ?int $most): ?Finding
    {
        $text = "$used of $most in use; a worker uses up to " . self::OF_A_WORKER;
        return match (true) {
            $used === null || $most === null => null,
            $used > $most * 0.8 => Finding::warn('Connections', $text, 'Raise max_connections, or put a pooler before the web requests.'),
            default => Finding::ok('Connections', $text),
        };
    }

    public static function isolation(?string $level): ?Finding
    {
        return match ($level) {
            null => null,
            'read committed' => Finding::ok('Isolation', $level),
            default => Finding::warn(
                'Isolation',
                "$level by default: single statements may have to be repeated, which Ferry does",
                'ALTER ROLE ... SET default_transaction_isolation = \'read committed\' for the user of the queue.',
            ),
        };
    }

    public static function durability(?string $commits): ?Finding
    {
        return match ($commits) {
            null => null,
            'off' => Finding::warn(
                'Commits',
                'synchronous_commit is off: a crash of the server may lose the jobs of the last half second',
                'Turn it on for the user of the queue.',
            ),
            default => Finding::ok('Commits', "synchronous_commit is $commits: commits survive a crash"),
        };
    }

    public static function encoding(?string $encoding): ?Finding
    {
        return match ($encoding) {
            null => null,
            'UTF8' => Finding::ok('Encoding', $encoding),
            default => Finding::warn(
                'Encoding',
                "$encoding: jobs whose text it cannot hold are refused",
                'Create the database with ENCODING UTF8.',
            ),
        };
    }
}
