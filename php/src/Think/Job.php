<?php

declare(strict_types=1);

namespace Ferry\Think;

/**
 * A job of Ferry as think-queue's own class, for handlers and listeners typed `think\queue\Job`. The extension makes one by itself for
 * such handlers.
 *
 * What it is and what happens to it are the native job's; how its handler is made by `fire()` is think-queue's. One class for v1, v2 and v3.
 */
class Job extends \think\queue\Job
{
    public function __construct(private \Ferry\Job $job)
    {
        $this->queue = $job->getQueue();
    }

    /** A listener gets what its handler got; where that could not be made, the native job. */
    public static function of(\Ferry\Job|self $job): self
    {
        return $job instanceof self ? $job : new self($job);
    }

    /** The job of the extension. */
    public function native(): \Ferry\Job
    {
        return $this->job;
    }

    public function fire()
    {
        // v1 and v2 leave it to the driver's job.
        if (method_exists($this, 'resolveAndFire')) {
            $this->resolveAndFire((array) $this->job->payload());
            return;
        }
        parent::fire();
    }

    /** v3 makes the handler by the container; only then is the application needed. */
    protected function resolve($name, $param = null)
    {
        if (property_exists($this, 'app')) {
            $this->app = Framework\ThinkPhp8::app();
        }
        return parent::resolve($name, $param);
    }

    public function getJobId()
    {
        return $this->job->getJobId();
    }

    public function attempts()
    {
        return $this->job->attempts();
    }

    public function getRawBody()
    {
        return $this->job->getRawBody();
    }

    public function getName()
    {
        return $this->job->getName();
    }

    public function getConnection()
    {
        return $this->job->getConnection();
    }

    public function delete()
    {
        $this->job->delete();
    }

    public function release($delay = 0)
    {
        $this->job->release($delay);
    }

    /** Buries the job, as `Ferry\Job::fail()` does. */
    public function fail($e = null)
    {
        $this->job->fail($e);
    }

    public function isDeleted()
    {
        return $this->job->isDeleted();
    }

    public function isReleased()
    {
        return $this->job->isReleased();
    }

    public function hasFailed()
    {
        return $this->job->hasFailed();
    }

    public function markAsFailed()
    {
        $this->job->markAsFailed();
    }

    /** Whether its lease expired, so that another worker may hold it. */
    public function isLost(): bool
    {
        return $this->job->isLost();
    }

    public function progress(int $percent, ?string $message = null): void
    {
        $this->job->progress($percent, $message);
    }

    public function result(mixed $data): void
    {
        $this->job->result($data);
    }
}
