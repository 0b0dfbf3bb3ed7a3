<?php

// One process that works, and its book: the effects of its jobs in the order in which they happened.

declare(strict_types=1);

namespace Bench;

final class Victim
{
    /** Whether it was killed. */
    public bool $killed = false;
    /** Until when it is stopped; null while it runs. */
    public ?float $stoppedUntil = null;
    /** Whether it is stopped for so long that its jobs become somebody else's. */
    public bool $seemsDead = false;
    /** @var list<array{int, string}> how long its book was when it died or seemed dead, and which of the two */
    public array $deaths = [];
    /** @var list<int> the jobs of its book that were read */
    public array $effects = [];
    /** @var list<float> when each was done */
    public array $times = [];
    /** @var array<int, true> the jobs that it started */
    public array $started = [];
    /** @var array<string, int> what it told of jobs that were no longer its own, by event */
    public array $told = ['lost' => 0, 'settle_lost' => 0];
    private int $read = 0;
    private ?int $code = null;

    private function __construct(private $process, public readonly int $pid, private string $file)
    {
    }

    public static function start(string $url, string $file, int $longest): self
    {
        touch($file);
        $environment = ['FERRY_URL' => $url, 'CHAOS_BOOK' => $file, 'CHAOS_LONGEST' => (string) $longest];
        // Nobody outlives the bench.
        $command = ['setpriv', '--pdeathsig', 'KILL', php(), '-d', 'extension=' . extension(), dirname(__DIR__, 2) . '/workers/chaos.php'];
        $log = ['file', "$file.log", 'w'];
        $process = proc_open($command, [['file', '/dev/null', 'r'], $log, $log], $pipes, null, $environment + getenv());
        if ($process === false) {
            throw new \RuntimeException('cannot start a worker');
        }
        return new self($process, proc_get_status($process)['pid'], $file);
    }

    public function kill(): void
    {
        $this->killed = true;
        proc_terminate($this->process, SIGKILL);
    }

    public function stopFor(float $seconds, bool $isLong): void
    {
        $this->stoppedUntil = microtime(true) + $seconds;
        $this->seemsDead = $isLong;
        proc_terminate($this->process, SIGSTOP);
    }

    public function goOn(): void
    {
        if ($this->seemsDead) {
            $this->readBook();
            // The job in which it was stopped has no line yet.
            $this->deaths[] = [count($this->effects) + 1, 'stopped'];
        }
        $this->seemsDead = false;
        $this->stoppedUntil = null;
        proc_terminate($this->process, SIGCONT);
    }

    /** Whether it left by itself because no broker answered when it began. */
    public function couldNotStart(): bool
    {
        return !$this->isRunning() && $this->code === 1 && str_contains((string) file_get_contents("$this->file.log"), 'could not start');
    }

    /** The exit code is told once. */
    private function isRunning(): bool
    {
        if ($this->code === null) {
            $status = proc_get_status($this->process);
            $this->code = $status['running'] ? null : $status['exitcode'];
        }
        return $this->code === null;
    }

    /** Asks it to leave, and waits; answers what is wrong with its end. */
    public function leave(): string
    {
        $this->goOn();
        proc_terminate($this->process, SIGTERM);
        return $this->reap();
    }

    /** Waits for its end; answers what is wrong with it. */
    public function reap(): string
    {
        wait_until(fn () => !$this->isRunning(), "process $this->pid to leave", 20);
        proc_close($this->process);
        $this->readBook();
        if ($this->killed) {
            $this->deaths[] = [count($this->effects), 'killed'];
        }
        $log = (string) file_get_contents("$this->file.log");
        $this->told = array_map(fn ($event) => preg_match_all("/^$event$/m", $log), ['lost' => 'lost', 'settle_lost' => 'settle_lost']);
        return $this->killed || $this->code === 0 ? '' : "a worker left with $this->code: $log";
    }

    /** Reads what was added since the last look. A line that is half there is left for the next. */
    public function readBook(): void
    {
        $added = (string) file_get_contents($this->file, offset: $this->read);
        $end = strrpos($added, "\n");
        if ($end === false) {
            return;
        }
        $this->read += $end + 1;
        foreach (explode("\n", substr($added, 0, $end)) as $line) {
            if ($line[0] === '+') {
                $this->started[(int) $line] = true;
                continue;
            }
            [$number, $time] = explode(' ', $line);
            $this->effects[] = (int) $number;
            $this->times[] = (float) $time;
        }
    }
}
