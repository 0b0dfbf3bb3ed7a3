<?php

declare(strict_types=1);

namespace Ferry\Think;

use think\Event;
use think\queue\event\JobExceptionOccurred;
use think\queue\event\JobFailed;
use think\queue\event\JobProcessed;
use think\queue\event\JobProcessing;
use think\queue\event\WorkerStopping;

/** The events of a Ferry worker as those of think-queue v3, its exceptions reported, its `queue:restart` obeyed. */
final class WorkerEvents
{
    /** The key of the cache that `queue:restart` writes. */
    public const RESTART = 'think:queue:restart';

    private mixed $restartedAt;
    private float $lookedAt = 0;
    private ?\Throwable $reported = null;

    /** @param \Closure(): void $stop stops the worker after its job */
    public function __construct(private Framework $framework, private Event $event, private ?FailedJobs $failed, private \Closure $stop)
    {
        $this->restartedAt = $framework->cached(self::RESTART);
    }

    /** @return array<string, callable> by the name of Ferry's event */
    public function listeners(): array
    {
        $classes = ['processing' => JobProcessing::class, 'processed' => JobProcessed::class];
        $trigger = fn (string $class) => fn (\Ferry\Job|Job $job) => $this->event->trigger(new $class($job->getConnection(), Job::of($job)));
        return array_map($trigger, $classes) + [
            'exception' => fn (\Ferry\Job|Job $job, \Throwable $e) => $this->exception($job, $e),
            'failed' => fn (\Ferry\Job|Job $job, \Throwable $e) => $this->failed($job, $e),
            'stopping' => fn (int $code) => $this->event->trigger(new WorkerStopping($code)),
            'looping' => fn () => $this->obeyRestart(),
        ];
    }

    private function exception(\Ferry\Job|Job $job, \Throwable $e): void
    {
        $this->event->trigger(new JobExceptionOccurred($job->getConnection(), Job::of($job), $e));
        $this->report($e);
    }

    /** think-queue's command writes a failed job to its store in this event. Ferry has stored it already: one job, one store. */
    private function failed(\Ferry\Job|Job $job, \Throwable $e): void
    {
        $trigger = fn () => $this->event->trigger(new JobFailed($job->getConnection(), Job::of($job), $e));
        $this->failed === null ? $trigger() : $this->failed->withoutWriting($trigger);
        $this->report($e);
    }

    /** A job that fails has one exception and two events. */
    private function report(\Throwable $e): void
    {
        if ($this->reported !== $e) {
            $this->reported = $e;
            $this->framework->report($e);
        }
    }

    private function obeyRestart(): void
    {
        $now = microtime(true);
        if ($now - $this->lookedAt < 1) {
            return;
        }
        $this->lookedAt = $now;
        if ($this->framework->cached(self::RESTART) != $this->restartedAt) {
            ($this->stop)();
        }
    }
}
