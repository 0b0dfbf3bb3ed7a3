<?php

// What became of the jobs, by the books of all workers.

declare(strict_types=1);

namespace Bench;

final class Verdict
{
    /** How far back a death may reach: deletions in flight, as many that gather behind them, the running job. */
    private const REACH = 2 * 64 + 1;

    /** @var array<int, list<?array{int, string, string}>> job => its runs, each with the next death of its worker: how many jobs later, how, whose */
    private array $runs = [];
    private int $effects = 0;
    /** @var array<string, int> runs again because a worker was killed, or stopped for long, or though nobody died */
    private array $again = ['killed' => 0, 'stopped' => 0, 'nobody' => 0];
    /** @var array<string, int> death => the jobs that it made run again */
    private array $perDeath = [];
    private int $reach = 0;

    public function __construct(
        private string $broker,
        private Plan $plan,
        private Crowd $crowd,
        private int $restarts,
        private array $stats,
        private array $complaints,
        private array $times,
    ) {
        foreach ($crowd->all() as $life => $victim) {
            foreach ($victim->effects as $at => $number) {
                $this->runs[$number][] = $this->deathBehind($victim, $life, $at);
                $this->effects++;
            }
        }
        array_map($this->explain(...), $this->runs);
    }

    public function isGood(): bool
    {
        return $this->lost() === 0 && $this->again['nobody'] === 0 && $this->reach <= self::REACH
            && array_sum($this->stats) === 0 && $this->complaints === [];
    }

    public function text(): string
    {
        $crowd = $this->crowd;
        $told = fn (string $event) => array_sum(array_map(fn ($victim) => $victim->told[$event], $crowd->all()));
        $lines = [
            sprintf('%s: %d jobs, %d workers, %.1f s under attack, %.1f s in all', $this->broker, $this->plan->jobs, Plan::WORKERS, ...$this->times),
            sprintf('  %d kills, %d short stops, %d long stops, %d restarts of the broker', $crowd->kills, $crowd->shortStops, $crowd->longStops, $this->restarts),
            sprintf('  lost: %d', $this->lost()),
            sprintf('  duplicates: %d (a worker was killed %d, stopped too long %d; nobody died %d)',
                $this->effects - count($this->runs), $this->again['killed'], $this->again['stopped'], $this->again['nobody']),
            sprintf('  by one death: at most %d, reaching back at most %d jobs (%d are allowed)', max([0, ...$this->perDeath]), $this->reach, self::REACH),
            sprintf('  told by workers: lost %d, settle_lost %d', $told('lost'), $told('settle_lost')),
        ];
        if (array_sum($this->stats) > 0) {
            $lines[] = '  left behind: ' . json_encode($this->stats);
        }
        return implode("\n", [...$lines, ...$this->complaints, $this->isGood() ? '  good' : '  NOT GOOD']);
    }

    private function lost(): int
    {
        return $this->plan->jobs - count($this->runs);
    }

    /** The next time that this worker died or seemed dead after this line of its book. */
    private function deathBehind(Victim $victim, int $life, int $at): ?array
    {
        foreach ($victim->deaths as [$length, $kind]) {
            if ($at < $length) {
                return [$length - $at, $kind, "$life at $length"];
            }
        }
        return null;
    }

    /** One run ends a job; every other one needs a death soon after it. */
    private function explain(array $runs): void
    {
        $excess = count($runs) - 1;
        $deaths = array_filter($runs);
        sort($deaths);
        $deaths = array_slice($deaths, 0, $excess);
        foreach ($deaths as [$distance, $kind, $death]) {
            $this->again[$kind]++;
            $this->perDeath[$death] = ($this->perDeath[$death] ?? 0) + 1;
            $this->reach = max($this->reach, $distance);
        }
        $this->again['nobody'] += $excess - count($deaths);
    }
}
