<?php

// The workers: always eight of them, whatever is done to them.

declare(strict_types=1);

namespace Bench;

final class Crowd
{
    /** @var list<Victim> at work */
    private array $alive = [];
    /** @var list<Victim> killed */
    private array $dead = [];
    public int $kills = 0;
    /** Workers that found no broker and left with 1, as their supervisor expects. */
    public int $notStarted = 0;
    public int $shortStops = 0;
    public int $longStops = 0;
    /** @var array<int, true> jobs whose effect was seen */
    private array $done = [];

    public function __construct(private string $url, private string $dir, private int $longest)
    {
        for ($at = 0; $at < Plan::WORKERS; $at++) {
            $this->alive[] = $this->fresh();
        }
    }

    public function killOne(): void
    {
        // One that is stopped for long is to wake up and find its jobs gone.
        $at = array_rand(array_filter($this->alive, fn ($victim) => !$victim->seemsDead));
        $victim = $this->alive[$at];
        $victim->kill();
        $this->kills++;
        $this->alive[$at] = $this->fresh();
        $victim->reap();
        $this->note($victim->effects);
        $this->dead[] = $victim;
    }

    public function stopOne(float $seconds): void
    {
        $running = array_filter($this->alive, fn ($victim) => $victim->stoppedUntil === null);
        if ($running === []) {
            return;
        }
        $isLong = $seconds >= Plan::RETRY_AFTER;
        $isLong ? $this->longStops++ : $this->shortStops++;
        $running[array_rand($running)]->stopFor($seconds, $isLong);
    }

    /** Wakes those whose time has come, and starts again those that could not start. */
    public function wake(): void
    {
        foreach ($this->alive as $at => $victim) {
            if ($victim->couldNotStart()) {
                $this->notStarted++;
                $this->alive[$at] = $this->fresh();
                $this->dead[] = $victim;
                continue;
            }
            if ($victim->stoppedUntil !== null && microtime(true) >= $victim->stoppedUntil) {
                $victim->goOn();
            }
        }
    }

    public function countDone(): int
    {
        foreach ($this->alive as $victim) {
            $known = count($victim->effects);
            $victim->readBook();
            $this->note(array_slice($victim->effects, $known));
        }
        return count($this->done);
    }

    /** Ends everybody; answers what was wrong with their ends. */
    public function leave(): array
    {
        return array_values(array_filter(array_map(fn ($victim) => $victim->leave(), $this->alive)));
    }

    /** @return list<Victim> everybody who ever worked */
    public function all(): array
    {
        return [...$this->dead, ...$this->alive];
    }

    private function note(array $numbers): void
    {
        foreach ($numbers as $number) {
            $this->done[$number] = true;
        }
    }

    private function fresh(): Victim
    {
        return Victim::start($this->url, "$this->dir/book-" . count($this->dead) . '-' . bin2hex(random_bytes(4)), $this->longest);
    }
}
