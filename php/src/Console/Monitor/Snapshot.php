<?php

declare(strict_types=1);

namespace Ferry\Console\Monitor;

use Ferry\Connection;

/** What a connection looks like at one moment. */
final class Snapshot
{
    /**
     * @param array<string, array{ready: int, delayed: int, reserved: int, failed: int, head: ?string, paused: bool}> $queues by name
     * @param list<array<string, mixed>> $workers those that reported of late
     */
    public function __construct(public readonly float $time, public readonly array $queues, public readonly array $workers)
    {
    }

    /**
     * @param list<string>|null $names queues to look at; null is the connection's own and those of its workers
     * @param string|null $own the name of the connection's own queue, where it is known
     */
    public static function take(Connection $connection, ?array $names, ?string $own): self
    {
        [$workers, $paused] = self::fleet($connection);
        $queues = [];
        foreach ($names ?? self::known($own, $workers, $paused) as $name) {
            $queue = $name === '' ? null : (string) $name;
            $head = $connection->peek($queue, 'ready', 1)[0] ?? null;
            $queues[$name] = $connection->stats($queue) + ['head' => $head, 'paused' => isset($paused[$name])];
        }
        return new self(microtime(true), $queues, $workers);
    }

    /** @return array{list<array<string, mixed>>, array<string, int>} workers and paused queues; nothing where a broker has no place for them */
    private static function fleet(Connection $connection): array
    {
        try {
            return [$connection->workers(), $connection->flags()['paused']];
        } catch (\Ferry\ConfigException) {
            return [[], []];
        }
    }

    /**
     * The own queue and those that workers or pauses name. Where its name is not known, the own one stands as '' while nobody names one.
     *
     * @param list<array<string, mixed>> $workers
     * @param array<string, int> $paused
     * @return list<string>
     */
    private static function known(?string $own, array $workers, array $paused): array
    {
        $named = array_merge(array_map('strval', array_keys($paused)), ...array_column($workers, 'queues'));
        $own ??= $named === [] ? '' : null;
        $all = array_unique(array_filter([$own, ...$named], fn ($name) => $name !== null));
        natcasesort($all);
        return array_values($all);
    }
}
