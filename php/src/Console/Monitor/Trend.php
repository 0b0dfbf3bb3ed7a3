<?php

declare(strict_types=1);

namespace Ferry\Console\Monitor;

/** What only two snapshots show: rates, and how long the first job has been waiting. Pure: the clock is that of the snapshots. */
final class Trend
{
    private ?Snapshot $last = null;
    /** @var array<string, array{?string, float}> queue => its first ready job, and since when it is the first */
    private array $heads = [];

    /**
     * Adds the next snapshot and returns the report about it.
     *
     * @return array{time: float, processed_per_second: ?float, failed_per_second: ?float, queues: list<array<string, mixed>>, workers: list<array<string, mixed>>|null}
     */
    public function add(Snapshot $now): array
    {
        $queues = [];
        foreach ($now->queues as $name => $queue) {
            $queues[] = $this->queue((string) $name, $queue, $now);
        }
        $report = [
            'time' => round($now->time, 3),
            'processed_per_second' => $this->rate($now, 'processed'),
            'failed_per_second' => $this->rate($now, 'failed'),
            'queues' => $queues,
            'workers' => $now->workers,
        ];
        $this->last = $now;
        return $report;
    }

    /** @param array<string, mixed> $queue @return array<string, mixed> */
    private function queue(string $name, array $queue, Snapshot $now): array
    {
        $before = $this->last?->queues[$name] ?? null;
        $seconds = $now->time - ($this->last?->time ?? $now->time);
        return [
            'queue' => $name,
            'ready' => $queue['ready'],
            'delayed' => $queue['delayed'],
            'reserved' => $queue['reserved'],
            'failed' => $queue['failed'],
            'size' => $queue['size'],
            'paused' => $queue['paused'],
            'growth_per_second' => $before === null || $seconds <= 0 ? null : round(($queue['size'] - $before['size']) / $seconds, 2),
            'head_waits_at_least' => $this->headWaits($name, $queue['head'], $now->time),
        ];
    }

    /** Payloads do not say when they were pushed: this is how long the same one has been seen in front. */
    private function headWaits(string $name, ?string $head, float $now): ?float
    {
        if ($head === null) {
            unset($this->heads[$name]);
            return null;
        }
        if (($this->heads[$name][0] ?? null) !== $head) {
            $this->heads[$name] = [$head, $now];
        }
        return round($now - $this->heads[$name][1], 1);
    }

    /** Of the workers in both snapshots and of the new ones; null where nobody reports. */
    private function rate(Snapshot $now, string $count): ?float
    {
        $seconds = $now->time - ($this->last?->time ?? $now->time);
        if ($this->last === null || $this->last->workers === null || $now->workers === null || $seconds <= 0) {
            return null;
        }
        $before = array_column($this->last->workers, $count, 'id');
        $done = array_sum(array_map(fn ($worker) => max(0, $worker[$count] - ($before[$worker['id']] ?? 0)), $now->workers));
        return round($done / $seconds, 2);
    }
}
