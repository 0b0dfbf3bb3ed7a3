<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/**
 * Keeps worker processes alive. It starts fresh PHP processes and never forks, so nothing is inherited; it has no connection to a broker.
 *
 * Signals: TERM, INT and QUIT let all finish their jobs and leave, a second one stops the running jobs, a third one kills. HUP replaces
 * the children one by one, each after its successor is ready. USR2 pauses, CONT goes on. Without pcntl there are no signals: then the
 * children see that their parent is gone and leave.
 */
final class Master
{
    /** A child that was done with its work has so long to end. */
    private const TO_END = 30.0;

    /** The longest wait for output: a signal that comes just before it is seen after it. */
    private const TICK = 0.25;

    /** Signals to stop that come so soon after each other are one: a terminal sends them to all processes, and workers count like this too. */
    private const ONE_STOP = 0.5;

    /** @var list<Slot> */
    private array $slots;
    /** @var list<Child> those whose place others have */
    private array $leaving = [];
    private Signals $signals;
    private int $generation = 0;
    private bool $paused = false;
    /** How often the children were told to leave. */
    private int $stopping = 0;
    private float $stoppedAt = 0.0;
    private ?float $killAt = null;
    /** The fleet's counter of stops when the first child started. */
    private ?int $stopOrders = null;
    private int $worst = 0;
    /** Asked at the start: a terminal that was closed is none any more. */
    private bool $onTerminal;

    /**
     * @param \Closure(int, bool, int, \Closure): ?Child $start starts the child of a slot: its number, whether it begins paused, its
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

    /** Works until all have left; answers the exit code: 0, or the highest of children that had one run each. */
    public function run(): int
    {
        $this->signals->catch();
        if (!Signals::areSupported()) {
            $this->log->trouble('this PHP has no pcntl, so the master hears no signal: when it ends, its workers finish their jobs and leave; HUP, USR2 and '
                . 'CONT do not work (install pcntl, or use `ferry restart`, `ferry pause` and `ferry stop`)');
        }
        try {
            while (!$this->isOver()) {
                array_map(fn ($signal) => $this->obey($signal), $this->signals->take());
                $this->start();
                $this->replaceOne();
                $this->wait();
                $this->greet();
                $this->bury();
                $this->kill();
            }
        } finally {
            // Only after a mistake of ours is anybody left here.
            $this->dismiss();
        }
        return $this->worst;
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
            array_push($children, ...array_filter([$slot->child, $slot->newcomer]));
        }
        return $children;
    }

    private function obey(int $signal): void
    {
        match ($signal) {
            Signals::TERM, Signals::INT, Signals::QUIT => $this->stop('asked to stop'),
            // A terminal that closes says HUP too, and means the end.
            Signals::HUP => $this->onTerminal ? $this->stop('the terminal was closed') : $this->renew(),
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
        $this->log->news(match ($this->stopping) {
            1 => "$why: workers finish their jobs and leave ($left)",
            2 => "$why again: running jobs are stopped ($left)",
            default => "$why once more: workers are killed ($left)",
        });
        $this->dismiss(again: $this->stopping > 1);
        $patience = $this->limits->untilKill($this->stopping);
        $this->killAt = $patience === null ? null : microtime(true) + $patience;
    }

    /** Tells all to leave. Who was told before would stop its job when it is told again. */
    private function dismiss(bool $again = false): void
    {
        array_map(fn (Child $child) => $child->leaving && !$again ? null : $child->leave(), $this->children());
    }

    /** HUP: everybody is to be replaced. */
    private function renew(): void
    {
        $this->generation++;
        if ($this->oneAtATime) {
            $this->dismiss();
            return;
        }
        $this->log->news(sprintf('replacing %d workers one by one', count($this->slots)));
    }

    private function pause(bool $paused): void
    {
        $this->paused = $paused;
        $this->log->news($paused ? 'paused' : 'goes on');
        array_map(fn (Child $child) => $this->agree($child), $this->children());
    }

    /** Tells a child whether to work. Before it is ready the signal would end it. */
    private function agree(Child $child): void
    {
        if ($child->isReady() && $child->paused !== $this->paused) {
            $child->paused = $this->paused;
            $child->signal($this->paused ? Signals::USR2 : Signals::CONT);
        }
    }

    private function start(): void
    {
        foreach ($this->slots as $slot) {
            if ($this->stopping === 0 && $slot->child === null && $slot->mayStart(microtime(true))) {
                $slot->child = $this->startFor($slot);
            }
        }
    }

    private function startFor(Slot $slot): ?Child
    {
        $child = ($this->start)($slot->number, $this->paused, $this->generation, $this->log->pass(...));
        if ($child === null) {
            $slot->deaths++;
            $slot->startAt = microtime(true) + max(1.0, $this->policy->delay($slot->deaths));
            $this->log->trouble(sprintf('worker %d could not be started (are there too many processes?)', $slot->number));
        }
        return $child;
    }

    /** The first slot with an old child gets a new one; the next is looked at when that is done. */
    private function replaceOne(): void
    {
        foreach ($this->stopping > 0 || $this->oneAtATime ? [] : $this->slots as $slot) {
            if ($slot->child === null || $slot->child->generation >= $this->generation) {
                continue;
            }
            if ($slot->newcomer?->isReady()) {
                $old = $slot->replace();
                $old->leave();
                $this->leaving[] = $old;
                $slot->deaths = 0;
                $this->log->news(sprintf('worker %d: pid %d takes over from pid %d', $slot->number, $slot->child->pid, $old->pid));
            } elseif ($slot->mayStart(microtime(true))) {
                $slot->newcomer = $this->startFor($slot);
            }
            return;
        }
    }

    /** Waits for output, the end of a child, a signal or the time of the next start. */
    private function wait(): void
    {
        $children = $this->children();
        $readable = array_merge([], ...array_map(fn (Child $child) => array_values($child->streams()), $children));
        $micros = (int) (1e6 * $this->patience());
        if ($readable === []) {
            usleep($micros);
            return;
        }
        $none = null;
        if (Quietly::run(fn () => stream_select($readable, $none, $none, 0, $micros))) {
            array_map(fn (Child $child) => $child->read(), $children);
        }
    }

    private function patience(): float
    {
        $waiting = array_filter($this->slots, fn ($slot) => $slot->child === null && !$slot->over);
        $next = array_map(fn ($slot) => $slot->startAt - microtime(true), $waiting);
        return max(0.001, min([self::TICK, ...$next]));
    }

    /** What children said about themselves. */
    private function greet(): void
    {
        foreach ($this->children() as $child) {
            $this->agree($child);
            $this->noteOrders($child);
        }
    }

    /** The counter only grows: a child that saw a higher one than the first child did was started after an order to stop, or obeyed it. */
    private function noteOrders(Child $child): void
    {
        $said = $child->said['stop'] ?? null;
        if ($said === null) {
            return;
        }
        if ($this->stopping === 0 && $said > ($this->stopOrders ?? $said)) {
            $this->stop('the fleet was told to stop');
        }
        // It is lower only when somebody emptied the broker.
        $this->stopOrders = min($said, $this->stopOrders ?? $said);
    }

    private function bury(): void
    {
        $this->reapOrphans();
        $this->leaving = array_values(array_filter($this->leaving, fn (Child $child) => $child->code() === null));
        foreach ($this->slots as $slot) {
            if ($slot->newcomer !== null && $slot->newcomer->code() !== null) {
                $this->newcomerEnded($slot, $slot->newcomer);
            }
            if ($slot->child !== null && $slot->child->code() !== null) {
                $this->childEnded($slot, $slot->child);
            }
        }
    }

    /** The first process of a container inherits whoever lost its parent, and has to let it go. */
    private function reapOrphans(): void
    {
        if (getmypid() !== 1 || !Signals::areSupported()) {
            return;
        }
        $ours = array_column(array_map(fn (Child $child) => [$child->pid, $child], $this->children()), 1, 0);
        while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
            isset($ours[$pid]) && $ours[$pid]->ended(pcntl_wifsignaled($status) ? 128 + pcntl_wtermsig($status) : pcntl_wexitstatus($status));
        }
    }

    private function childEnded(Slot $slot, Child $child): void
    {
        $code = $child->code();
        $this->noteOrders($child);
        $slot->vacate();
        if ($this->stopping > 0 || $this->policy->isOver($code)) {
            $slot->over = $slot->child === null;
            $this->worst = $this->stopping > 0 ? $this->worst : max($this->worst, $code);
            return;
        }
        $this->mourn($slot, $child);
    }

    private function newcomerEnded(Slot $slot, Child $child): void
    {
        $slot->newcomer = null;
        if ($this->stopping === 0) {
            $this->mourn($slot, $child, $slot->child === null ? '' : '; the old one goes on');
        }
    }

    /** Notes an end, and when the next one may start. */
    private function mourn(Slot $slot, Child $child, string $more = ''): void
    {
        [$code, $lived] = [$child->code(), $child->lived()];
        $slot->deaths = $this->policy->deaths($slot->deaths, $code, $lived, $child->isReady());
        // One run of a worker whose queues are paused ends at once.
        $ended = $this->oneAtATime && isset($child->said['paused']);
        $delay = max($this->policy->delay($slot->deaths), $ended ? 1.0 : 0.0);
        $slot->startAt = microtime(true) + $delay;
        $how = $code > 128 ? 'was ended by signal ' . ($code - 128) : "ended with $code";
        $next = $delay > 0 ? sprintf('the next one starts in %d s', $delay) : 'the next one starts now';
        $text = sprintf('worker %d (pid %d) %s after %.1f s; %s%s', $slot->number, $child->pid, $how, $lived, $next, $more);
        if ($slot->deaths > 0 && !$child->leaving) {
            $this->log->trouble($text);
        } elseif (!$this->oneAtATime) {
            $this->log->news($text);
        }
    }

    private function kill(): void
    {
        $all = $this->killAt !== null && microtime(true) >= $this->killAt;
        foreach ($this->children() as $child) {
            $reason = match (true) {
                $all => 'did not leave in time',
                $this->limits->isLate($child) => sprintf('was not ready after %d s', $this->limits->start),
                $child->isDoneSince(self::TO_END) => 'did not end after its work',
                default => null,
            };
            if ($reason !== null && !$child->killed) {
                $child->killed = true;
                $this->log->trouble("pid {$child->pid} $reason and is killed");
                $child->signal(Signals::KILL);
            }
        }
    }
}
