<?php

namespace Ferry;

/**
 * What became of a job, as it was read. Kept for jobs of connections with `track`, for `status_ttl` seconds after the last word.
 *
 * The properties can only be read. Times are Unix seconds with fractions, by the clock of the broker that keeps them.
 */
final class Status
{
    /** @var string the id in the job's payload */
    public $id;

    /** @var 'queued'|'running'|'retrying'|'succeeded'|'failed'|'expired' where the job is */
    public $state;

    /** @var string `Class`, `Class@method` or a short name */
    public $job;

    /** @var string its queue */
    public $queue;

    /** @var string the name of its connection */
    public $connection;

    /** @var int<0, max> the number of the last attempt; 0 before the first */
    public $attempts;

    /** @var int<0, 100> percent, as {@see Job::progress()} said; 100 when it succeeded */
    public $progress;

    /** @var string|null what {@see Job::progress()} said to it */
    public $message;

    /** @var mixed what {@see Job::result()} left, objects as arrays; null until the attempt is over */
    public $result;

    /** @var string|null why the last attempt failed, at most 4 KiB; null once the job succeeded */
    public $error;

    /** @var float|null when it was pushed; null when nobody noted it */
    public $queuedAt;

    /** @var float|null when the last attempt began */
    public $startedAt;

    /** @var float|null when it was over */
    public $finishedAt;

    /** @var float when something was last said of it */
    public $updatedAt;

    /** Not for callers: a status is found. */
    public function __construct()
    {
    }

    /**
     * What is known of the job with this id.
     *
     * @param string $id what push answered
     * @param string|Connection|null $connection the connection of the job, by name or itself; null means the default one
     * @return Status|null null when nothing is known, or not any more
     * @throws InvalidArgumentException `$connection` is none of these
     * @throws ConfigException no such connection; or its broker has no place for statuses and `control` names no other
     * @throws BrokerException or one of its children
     */
    public static function find(string $id, mixed $connection = null): ?Status
    {
    }

    /**
     * Reads it anew.
     *
     * @return bool false when nothing is known any more; then this object stays as it is
     * @throws ConfigException as for {@see find()}
     * @throws BrokerException or one of its children
     */
    public function refresh(): bool
    {
    }

    /** Whether nothing more will happen by itself: succeeded, failed or expired. */
    public function isFinished(): bool
    {
    }

    /**
     * Everything, by name.
     *
     * @return array{id: string, state: string, job: string, queue: string, connection: string, attempts: int, progress: int,
     *     message: string|null, result: mixed, error: string|null, queued_at: float|null, started_at: float|null,
     *     finished_at: float|null, updated_at: float}
     */
    public function toArray(): array
    {
    }
}
