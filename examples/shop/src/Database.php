<?php

namespace Shop;

use PDO;
use Throwable;

/** SQLite files that several processes write to. */
final class Database
{
    /** A writer waits for another one. */
    private const WAIT_MS = 30000;

    /** @param string $schema statements that may be run again */
    public static function open(string $path, string $schema = ''): PDO
    {
        $pdo = new PDO("sqlite:$path", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
        $pdo->exec('PRAGMA busy_timeout = ' . self::WAIT_MS);
        $pdo->exec('PRAGMA journal_mode = WAL');
        $pdo->exec('PRAGMA synchronous = NORMAL');
        $schema === '' || $pdo->exec($schema);
        return $pdo;
    }

    /** All of the work or none of it. The lock to write is taken at the start: two that read first would lock each other out. */
    public static function transaction(PDO $pdo, callable $work): void
    {
        $pdo->exec('BEGIN IMMEDIATE');
        try {
            $work($pdo);
            $pdo->exec('COMMIT');
        } catch (Throwable $e) {
            $pdo->exec('ROLLBACK');
            throw $e;
        }
    }
}
