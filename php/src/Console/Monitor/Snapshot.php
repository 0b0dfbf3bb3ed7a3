<?php

declare(strict_types=1);

namespace Ferry\Console\Monitor;

use Ferry\Connection;
use Ferry\Console\QueueCounts;

/** What a connection looks like at one moment. Null is what its broker does not tell. */
final class Snapshot
{
    /**
     * @param array<string, array{ready: int, delayed: ?int, reserved: ?int, failed: int, head: ?string, paused: bool}> $queues by name
     * @param list<array<string, mixed>>|null $workers those that reported recently
     */
    public function __construct(public readonly float $time, public readonly array $queues, public readonly ?array $workers)
    {
    }

    /**
     * @param list<string>|null $names queues to look at; null: the own ones, and those that workers and pauses name
     * @param list<string> $own the default queue, and those of tasks
     */
    public static function take(Connection $connection, string $driver, ?array $names, array $own): self
    {
        [$workers, $paused] = self::fleet($connection);
        $queues = [];
        foreach ($names ?? self::known($own, $workers ?? [], $paused) as $name) {
            $head = QueueCounts::canPeek($driver) ? $connection->peek($name, 'ready', 1)[0] ?? null : null;
            $queues[$name] = QueueCounts::of($connection, $name, $driver) + ['head' => $head, 'paused' => isset($paused[$name])];
        }
        return new self(microtime(true), $queues, $workers);
    }

    /** @return array{list<array<string, mixed>>|null, array<string, int>} workers and paused queues */
    private static function fleet(Connection $connection): array
    {
        try {
            return [$connection->workers(), $connection->flags()['paused']];
        } catch (\Ferry\ConfigException) {
            // The broker cannot store them.
            return [null, []];
        }
    }

    /**
     * @param list<string> $own
     * @param list<array<string, mixed>> $workers
     * @param array<string, int> $paused
     * @return list<string>
     */
    private static function known(array $own, array $workers, array $paused): array
    {
        $all = array_unique([...$own, ...array_map('strval', array_keys($paused)), ...array_merge(...array_column($workers, 'queues'))]);
        natcasesort($all);
        return array_values($all);
    }
}
