<?php

declare(strict_types=1);

namespace Ferry\Think;

use Ferry\Think\Framework\ThinkPhp51;

/** The events of a Ferry worker as the hooks of think-queue v1 and v2. */
final class OldHooks
{
    private mixed $restartedAt;
    private float $lookedAt = 0;

    /** @param string|null $queue what the hooks of v1 and v2 get */
    public function __construct(private ThinkPhp51 $framework, private \Closure $stop, private ?string $queue = null)
    {
        $this->restartedAt = $framework->cached(WorkerEvents::RESTART);
    }

    /** @return array<string, callable> by the name of Ferry's event */
    public function listeners(): array
    {
        return [
            'processing' => fn () => $this->framework->hook('worker_before_process', $this->queue),
            'exception' => fn (\Ferry\Job|Job $job, \Throwable $e) => $this->framework->report($e),
            'failed' => fn (\Ferry\Job|Job $job) => $this->framework->hook('queue_failed', Job::of($job)),
            'stopping' => fn (int $code) => $code === 12 && $this->framework->hook('worker_memory_exceeded', $this->queue),
            'looping' => fn () => $this->obeyRestart(),
        ];
    }

    private function obeyRestart(): void
    {
        $now = microtime(true);
        if ($now - $this->lookedAt < 1) {
            return;
        }
        $this->lookedAt = $now;
        if ($this->framework->cached(WorkerEvents::RESTART) != $this->restartedAt) {
            $this->framework->hook('worker_queue_restart', $this->queue);
            ($this->stop)();
        }
    }
}
