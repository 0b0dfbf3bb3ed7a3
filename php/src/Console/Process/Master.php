<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Console\ExitCode;
use Ferry\Console\Refusal;
use Ferry\Console\Text;

/**
 * Keeps worker processes alive. It starts fresh PHP processes and never forks, so nothing is inherited; it has no connection to a broker,
 * and it never waits for a reader of its output.
 *
 * Signals: TERM, INT and QUIT make all workers finish their jobs and exit, a second one interrupts the running jobs, a third one kills. HUP
 * replaces the children one by one, each after its successor is ready. USR2 pauses, CONT resumes. Without pcntl there are no signals: then
 * the children see that their parent is gone and exit.
 */
final class Master
{
    /** A child whose work is done has this long to end. */
    private const TO_END = 30.0;

    /** The longest wait for output: a signal that comes just before the wait is handled after it. */
    private const TICK = 0.25;

    /** Signals to stop that come this close together are one: a terminal sends them to all processes, and workers count like this too. */
    private const ONE_STOP = 0.5;

    /** @var list<Slot> */
    private array $slots;
    /** @var list<Child> those that were replaced */
    private array $leaving = [];
    private Signals $signals;
    private int $generation = 0;
    private bool $paused = false;
    /** How often the children were told to exit. */
    private int $stopping = 0;
    private float $stoppedAt = 0.0;
    private ?float $killAt = null;
    /** The counter of `ferry stop` when the first child started. */
    private ?int $stopOrders = null;
    private int $exitCode = ExitCode::DONE;
    /** Asked at the start: a terminal that was closed is none any more. */
    private bool $onTerminal;

    /**
     * @param \Closure(int, bool, int, \Closure): Child $start starts the child of a slot: its number, whether it starts paused, its
     *     generation, what takes its lines
     */
    public function __construct(
        int $processes,
        private RespawnPolicy $policy,
        private Limits $limits,
        private Log $log,
        private \Closure $start,
        private bool $oneAtATime = false,
    ) {
        $this->slots = array_map(fn ($number) => new Slot($number), range(1, $processes));
        $this->signals = new Signals();
        $this->onTerminal = stream_isatty(STDIN);
    }

    /** Runs until all children have exited; returns the exit code: 0, or the highest of children that had one run each. */
    public function run(): int
    {
        $this->signals->catch();
        self::loadFiles();
        if (!Signals::areSupported()) {
            $this->log->warning('this PHP has no pcntl, so the master cannot handle signals: when it ends, its workers finish their jobs and exit; HUP, USR2 '
                . 'and CONT do not work (install pcntl, or use `ferry restart`, `ferry pause` and `ferry stop`)');
        }
        try {
            while (!$this->isOver()) {
                array_map(fn ($signal) => $this->handleSignal($signal), $this->signals->take());
                $this->startMissing();
                $this->replaceOne();
                $this->wait();
                $this->handleReports();
                $this->handleEnded();
                $this->killLate();
                $this->checkOutput();
            }
        } finally {
            // Only after a mistake of ours is any child left here.
            $this->terminateAll();
            $this->log->close();
        }
        return $this->exitCode;
    }

    /**
     * Opens the files that the loop will need while there are descriptors: classes, even those that say that there are none, and the time zone of the
     * log, without whose file Debian's PHP crashes.
     */
    private static function loadFiles(): void
    {
        $ours = array_map(fn ($file) => __NAMESPACE__ . '\\' . basename($file, '.php'), glob(__DIR__ . '/*.php') ?: []);
        array_map(class_exists(...), [...$ours, Refusal::class, ExitCode::class, Text::class]);
        date('c');
    }

    private function isOver(): bool
    {
        $free = array_filter($this->slots, fn ($slot) => $slot->child === null && ($slot->over || $this->stopping > 0));
        return count($free) === count($this->slots) && $this->children() === [];
    }

    /** @return list<Child> */
    private function children(): array
    {
        $children = $this->leaving;
        foreach ($this->slots as $slot) {
            array_push($children, ...array_filter([$slot->child, $slot->successor]));
        }
        return $children;
    }

    private function handleSignal(int $signal): void
    {
        match ($signal) {
            Signals::TERM, Signals::INT, Signals::QUIT => $this->stop('asked to stop'),
            // A terminal that closes sends HUP too, and means the end.
            Signals::HUP => $this->onTerminal ? $this->stop('the terminal was closed') : $this->replaceAll(),
            Signals::USR2 => $this->pause(true),
            Signals::CONT => $this->pause(false),
        };
    }

    private function stop(string $why): void
    {
        if (microtime(true) - $this->stoppedAt < self::ONE_STOP) {
            return;
        }
        $this->stoppedAt = microtime(true);
        $this->stopping++;
        $left = count($this->children());
        $this->log->notice(match ($this->stopping) {
            1 => "$why: workers finish their jobs and exit ($left)",
            2 => "$why again: running jobs are stopped ($left)",
            default => "$why once more: workers are killed ($left)",
        });
        $this->terminateAll(again: $this->stopping > 1);
        $seconds = $this->limits->untilKill($this->stopping);
        $this->killAt = $seconds === null ? null : microtime(true) + $seconds;
    }

    /** Tells all to exit. A child that was told before would stop its job when it is told again. */
    private function terminateAll(bool $again = false): void
    {
        array_map(fn (Child $child) => $child->leaving && !$again ? null : $child->terminate(), $this->children());
    }

    /** HUP. */
    private function replaceAll(): void
    {
        $this->generation++;
        if ($this->oneAtATime) {
            $this->terminateAll();
            return;
        }
        $this->log->notice(sprintf('replacing %d workers one by one', count($this->slots)));
    }

    private function pause(bool $paused): void
    {
        $this->paused = $paused;
        $this->log->notice($paused ? 'paused' : 'resumed');
        array_map(fn (Child $child) => $this->pauseOrResume($child), $this->children());
    }

    /** Tells a child whether to take jobs. Before it is ready the signal would end it. */
    private function pauseOrResume(Child $child): void
    {
        if ($child->isReady() && $child->paused !== $this->paused) {
            $child->paused = $this->paused;
            $child->signal($this->paused ? Signals::USR2 : Signals::CONT);
        }
    }

    private function startMissing(): void
    {
        foreach ($this->slots as $slot) {
            if ($this->stopping === 0 && $slot->child === null && $slot->mayStart(microtime(true))) {
                $slot->child = $this->startFor($slot);
            }
        }
    }

    private function startFor(Slot $slot): ?Child
    {
        try {
            return ($this->start)($slot->number, $this->paused, $this->generation, $this->log->pass(...));
        } catch (Refusal $refusal) {
            $slot->deaths++;
            $slot->startAt = microtime(true) + max(1.0, $this->policy->delay($slot->deaths));
            $next = $this->giveUp($slot, ExitCode::FAILED) ? '; it is not tried again' : '';
            $this->log->warning(sprintf('worker %d could not be started: %s%s', $slot->number, $refusal->getMessage(), $next));
            return null;
        }
    }

    /** Ends the work of a slot whose process keeps failing, where the work was to end by itself. */
    private function giveUp(Slot $slot, int $code): bool
    {
        if ($slot->child !== null || !$this->policy->isHopeless($slot->deaths)) {
            return false;
        }
        $slot->over = true;
        $this->exitCode = max($this->exitCode, $code);
        return true;
    }

    /** One slot with an old child gets a new one; the next is looked at when that is done. */
    private function replaceOne(): void
    {
        $slot = $this->stopping > 0 || $this->oneAtATime ? null : Slot::toReplace($this->slots, $this->generation);
        if ($slot === null) {
            return;
        }
        if ($slot->successor?->isReady()) {
            $old = $slot->replace();
            $old->terminate();
            $this->leaving[] = $old;
            $slot->deaths = 0;
            $this->log->notice(sprintf('worker %d: pid %d takes over from pid %d', $slot->number, $slot->child->pid, $old->pid));
        } elseif ($slot->mayStart(microtime(true))) {
            $slot->successor = $this->startFor($slot);
        }
    }

    /** Passes on what children write, until there is something else to do. */
    private function wait(): void
    {
        $children = $this->children();
        $full = $this->stopping > 0 ? [] : $this->log->full();
        $readable = array_merge(...array_map(fn (Child $child) => array_values($child->streams($full)), $children));
        $writable = $this->log->pending();
        $micros = (int) (1e6 * $this->timeout());
        if ($readable === [] && $writable === []) {
            usleep($micros);
            return;
        }
        $none = null;
        if (Quietly::run(fn () => stream_select($readable, $writable, $none, 0, $micros))) {
            array_map(fn (Child $child) => $child->read($full), $children);
            $this->log->flush();
        }
        if ($this->stopping > 0) {
            $this->log->discardExcess();
        }
    }

    private function timeout(): float
    {
        $waiting = array_filter($this->slots, fn ($slot) => $slot->child === null && !$slot->over);
        $next = array_map(fn ($slot) => $slot->startAt - microtime(true), $waiting);
        return max(0.001, min([self::TICK, ...$next]));
    }

    private function handleReports(): void
    {
        foreach ($this->children() as $child) {
            $this->pauseOrResume($child);
            $this->handleStops($child);
        }
    }

    /** The counter only grows: a child with a higher one than the first child started after `ferry stop`, or followed it. */
    private function handleStops(Child $child): void
    {
        $stops = $child->reports['stop'] ?? null;
        if ($stops === null) {
            return;
        }
        if ($this->stopping === 0 && $stops > ($this->stopOrders ?? $stops)) {
            $this->stop('all workers were told to stop');
        }
        // It is lower only when somebody emptied the broker.
        $this->stopOrders = min($stops, $this->stopOrders ?? $stops);
    }

    private function handleEnded(): void
    {
        $this->reapOrphans();
        $this->leaving = array_values(array_filter($this->leaving, fn (Child $child) => $child->code() === null));
        foreach ($this->slots as $slot) {
            if ($slot->successor !== null && $slot->successor->code() !== null) {
                $this->successorEnded($slot, $slot->successor);
            }
            if ($slot->child !== null && $slot->child->code() !== null) {
                $this->childEnded($slot, $slot->child);
            }
        }
    }

    /** The first process of a container inherits processes whose parent has ended, and has to reap them. */
    private function reapOrphans(): void
    {
        if (getmypid() !== 1 || !Signals::areSupported()) {
            return;
        }
        $ours = array_column(array_map(fn (Child $child) => [$child->pid, $child], $this->children()), 1, 0);
        while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
            isset($ours[$pid]) && $ours[$pid]->ended(pcntl_wexitstatus($status), pcntl_wifsignaled($status) ? pcntl_wtermsig($status) : null);
        }
    }

    private function childEnded(Slot $slot, Child $child): void
    {
        $code = $child->code();
        $this->handleStops($child);
        $slot->advance();
        if ($this->stopping > 0 || $this->policy->isOver($code)) {
            $slot->over = $slot->child === null;
            $this->exitCode = $this->stopping > 0 ? $this->exitCode : max($this->exitCode, $code);
            return;
        }
        $this->scheduleNext($slot, $child);
    }

    private function successorEnded(Slot $slot, Child $child): void
    {
        $slot->successor = null;
        if ($this->stopping === 0) {
            $this->scheduleNext($slot, $child, $slot->child === null ? '' : '; the old one continues');
        }
    }

    /** Decides when the next process of a slot starts, and logs how this one ended. */
    private function scheduleNext(Slot $slot, Child $child, string $more = ''): void
    {
        [$code, $lived] = [$child->code(), $child->lived()];
        $slot->deaths = $this->policy->deaths($slot->deaths, $code, $lived, $child->isReady());
        // One run of a worker whose queues are paused ends at once.
        $ended = $this->oneAtATime && isset($child->reports['paused']);
        $delay = max($this->policy->delay($slot->deaths), $ended ? 1.0 : 0.0);
        $slot->startAt = microtime(true) + $delay;
        $next = match (true) {
            $this->giveUp($slot, $code) => "it failed $slot->deaths times in a row and is not started again",
            $delay > 0 => sprintf('the next one starts in %d s', $delay),
            default => 'the next one starts now',
        };
        $text = sprintf('worker %d (pid %d) %s after %.1f s; %s%s', $slot->number, $child->pid, $child->ending(), $lived, $next, $more);
        if ($slot->deaths > 0 && !$child->leaving) {
            $this->log->warning($text);
        } elseif (!$this->oneAtATime) {
            $this->log->notice($text);
        }
    }

    private function killLate(): void
    {
        $all = $this->killAt !== null && microtime(true) >= $this->killAt;
        foreach ($this->children() as $child) {
            $reason = match (true) {
                $all => 'did not exit in time',
                $this->limits->isLate($child) => sprintf('was not ready after %d s', $this->limits->start),
                $child->isDoneSince(self::TO_END) => 'did not end after its work',
                default => null,
            };
            if ($reason !== null && !$child->killed) {
                $child->killed = true;
                $this->log->warning("pid {$child->pid} $reason and is killed");
                $child->signal(Signals::KILL);
            }
        }
    }

    /** Like other programs, a master whose output nobody can read any more ends; its supervisor starts it again with a new output. */
    private function checkOutput(): void
    {
        if ($this->stopping === 0 && $this->log->isClosed()) {
            $this->exitCode = max($this->exitCode, ExitCode::FAILED);
            $this->log->warning('standard output was closed');
            $this->stop('standard output was closed');
        }
    }
}
