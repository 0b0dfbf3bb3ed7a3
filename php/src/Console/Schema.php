<?php

declare(strict_types=1);

namespace Ferry\Console;

/** The tables of Ferry, as the drivers create them. Pure. */
final class Schema
{
    /** family => columns of a table of jobs beside `id`, `queue`, `payload` and `attempts`; those of the index on due jobs; time of a failed job */
    private const FAMILIES = [
        'think3' => [['reserve_time', 'available_time', 'create_time'], ['reserve_time', 'available_time'], 'fail_time'],
        'think3-legacy' => [['reserve_time', 'available_time', 'create_time'], ['reserve_time', 'available_time'], 'fail_time'],
        'think1' => [['reserved', 'reserved_at', 'available_at', 'created_at'], ['reserved', 'available_at', 'reserved_at'], 'fail_time'],
    ];

    /** @return list<string> */
    public static function families(): array
    {
        return array_keys(self::FAMILIES);
    }

    /** @return list<string> */
    public static function jobs(string $family, string $table): array
    {
        [$columns, $due] = self::FAMILIES[$family];
        $columns = implode(', ', array_map(fn ($name) => "$name INTEGER", $columns));
        return [
            sprintf('CREATE TABLE IF NOT EXISTS %s (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, payload TEXT, attempts INTEGER, %s)', self::quoted($table), $columns),
            sprintf('CREATE INDEX IF NOT EXISTS %s ON %s (queue)', self::quoted("{$table}_queue"), self::quoted($table)),
            sprintf('CREATE INDEX IF NOT EXISTS %s ON %s (queue, %s)', self::quoted("ferry_{$table}_due"), self::quoted($table), implode(', ', $due)),
        ];
    }

    /** @return list<string> */
    public static function failed(string $family, string $table): array
    {
        return [sprintf(
            'CREATE TABLE IF NOT EXISTS %s (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, payload TEXT, exception TEXT, %s TIMESTAMP DEFAULT CURRENT_TIMESTAMP)',
            self::quoted($table),
            self::FAMILIES[$family][2],
        )];
    }

    /** Flags and reports of the fleet. @return list<string> */
    public static function fleet(): array
    {
        return [
            'CREATE TABLE IF NOT EXISTS ferry_flags (name TEXT PRIMARY KEY, value INTEGER NOT NULL)',
            'CREATE TABLE IF NOT EXISTS ferry_workers (id TEXT PRIMARY KEY, seen INTEGER NOT NULL, report TEXT NOT NULL)',
        ];
    }

    private static function quoted(string $name): string
    {
        return '"' . str_replace('"', '""', $name) . '"';
    }
}
