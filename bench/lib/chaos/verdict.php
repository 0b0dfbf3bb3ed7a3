<?php

// What became of the jobs, by the books of all workers.

declare(strict_types=1);

namespace Bench;

final class Verdict
{
    /** How far back a death may reach: deletions in flight, as many that gather behind them, the running job. */
    private const REACH = 2 * 64 + 1;

    /** Seconds around a fault of the broker within which a run may be laid to it: a settlement was on its way, or is repeated. */
    private const AROUND = 2.0;

    /** @var array<int, list<?array{int, string, string}>> job => its runs, each with the next death of its worker: how many jobs later, how, whose */
    private array $runs = [];
    /** @var array<int, int> job => how many of its runs ended while the broker failed */
    private array $duringFaults = [];
    private int $effects = 0;
    /** @var array<string, int> runs again because a worker was killed, or stopped for long, or the broker failed, or though nobody died */
    private array $again = ['killed' => 0, 'stopped' => 0, 'broker' => 0, 'nobody' => 0];
    /** @var array<string, int> death => the jobs that it made run again */
    private array $perDeath = [];
    private int $reach = 0;

    public function __construct(
        private Plan $plan,
        private Crowd $crowd,
        private array $faults,
        private array $stats,
        private array $buried,
        private array $complaints,
        private array $times,
    ) {
        foreach ($crowd->all() as $life => $victim) {
            foreach ($victim->effects as $at => $number) {
                $this->runs[$number][] = $this->deathBehind($victim, $life, $at);
                $this->duringFaults[$number] = ($this->duringFaults[$number] ?? 0) + ($this->isDuringFault($victim->times[$at]) ? 1 : 0);
                $this->effects++;
            }
        }
        foreach ($this->runs as $number => $runs) {
            $this->explain($runs, $this->duringFaults[$number]);
        }
    }

    public function isGood(): bool
    {
        return $this->lost() === 0 && $this->again['nobody'] === 0 && $this->reach <= self::REACH
            && count($this->neverStarted()) <= $this->deaths() && $this->left() === 0 && $this->complaints === [];
    }

    public function text(): string
    {
        $crowd = $this->crowd;
        $told = fn (string $event) => array_sum(array_map(fn ($victim) => $victim->told[$event], $crowd->all()));
        $lines = [
            sprintf('%s: %d jobs, %d workers, %.1f s under attack, %.1f s in all', $this->plan->broker, $this->plan->jobs, Plan::WORKERS, ...$this->times),
            sprintf('  %d kills, %d short stops, %d long stops; faults of the broker: %s', $crowd->kills, $crowd->shortStops, $crowd->longStops,
                implode(', ', array_column($this->faults, 0)) ?: 'none'),
            sprintf('  %d workers could not start beside a broker that failed, and were started again', $crowd->notStarted),
            sprintf('  lost: %d', $this->lost()),
            sprintf('  buried: %d, of these never started: %d (one for each of %d deaths is allowed)',
                count($this->buried), count($this->neverStarted()), $this->deaths()),
            sprintf('  duplicates: %d (a worker was killed %d, stopped too long %d; the broker failed %d; nobody died %d)',
                $this->effects - count($this->runs), ...array_values($this->again)),
            sprintf('  by one death: at most %d, reaching back at most %d jobs (%d are allowed)', max([0, ...$this->perDeath]), $this->reach, self::REACH),
            sprintf('  told by workers: lost %d, settle_lost %d', $told('lost'), $told('settle_lost')),
        ];
        if ($this->left() > 0) {
            $lines[] = '  left behind: ' . json_encode($this->stats);
        }
        return implode("\n", [...$lines, ...$this->complaints, $this->isGood() ? '  good' : '  NOT GOOD']);
    }

    /** Neither done nor in the failed store. */
    private function lost(): int
    {
        return $this->plan->jobs - count($this->runs + array_flip($this->buried));
    }

    private function left(): int
    {
        return array_sum($this->stats) - $this->stats['failed'];
    }

    /** Each costs a job its try that was reserved alone and not started yet. A fault of the broker ends the connections of all workers. */
    private function deaths(): int
    {
        return $this->crowd->kills + $this->crowd->longStops + Plan::WORKERS * count($this->faults);
    }

    /** @return list<int> jobs that lost their only try before it began */
    private function neverStarted(): array
    {
        $started = array_reduce($this->crowd->all(), fn ($all, $victim) => $all + $victim->started, []);
        return array_values(array_filter($this->buried, fn ($number) => !isset($started[$number])));
    }

    private function isDuringFault(float $time): bool
    {
        $covers = fn (array $fault) => $time >= $fault[1] - self::AROUND && $time <= $fault[2] + self::AROUND;
        return array_filter($this->faults, $covers) !== [];
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

    /** One run ends a job; every other one needs a death soon after it, or a fault of the broker around it. */
    private function explain(array $runs, int $duringFaults): void
    {
        $excess = count($runs) - 1;
        $deaths = array_filter($runs);
        sort($deaths);
        // A death that is too far away explains nothing that a fault of the broker explains.
        $near = array_filter($deaths, fn ($death) => $death[0] <= self::REACH);
        $deaths = array_slice(count($near) + $duringFaults >= $excess ? $near : $deaths, 0, $excess);
        foreach ($deaths as [$distance, $kind, $death]) {
            $this->again[$kind]++;
            $this->perDeath[$death] = ($this->perDeath[$death] ?? 0) + 1;
            $this->reach = max($this->reach, $distance);
        }
        $unexplained = $excess - count($deaths);
        $this->again['broker'] += min($unexplained, $duringFaults);
        $this->again['nobody'] += max(0, $unexplained - $duringFaults);
    }
}
