<?php

declare(strict_types=1);

namespace Ferry\Console;

/** A job in a spool: a line that `ferry.spool` got at the end of a request. */
final class SpooledJob
{
    private const VERSION = 1;

    /** @param int|null $due the unix second of a delayed job */
    private function __construct(
        public readonly string $connection,
        public readonly string $queue,
        public readonly ?int $due,
        public readonly string $payload,
    ) {
    }

    /** The job of a line; null when it is none that this version can read. */
    public static function of(string $line): ?self
    {
        $record = json_decode($line, true);
        if (!is_array($record) || ($record['v'] ?? null) !== self::VERSION) {
            return null;
        }
        [$connection, $queue, $due] = [$record['connection'] ?? null, $record['queue'] ?? null, $record['due'] ?? null];
        $payload = self::payload($record);
        if (!is_string($connection) || !is_string($queue) || $queue === '' || !($due === null || is_int($due)) || $payload === null) {
            return null;
        }
        return new self($connection, $queue, $due, $payload);
    }

    /** @param array<string, mixed> $record */
    private static function payload(array $record): ?string
    {
        if (is_string($record['payload_base64'] ?? null)) {
            $bytes = base64_decode($record['payload_base64'], true);
            return $bytes === false ? null : $bytes;
        }
        return is_string($record['payload'] ?? null) ? $record['payload'] : null;
    }
}
