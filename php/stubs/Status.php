<?php

namespace Ferry;

/**
 * The status of a job, as it was read. Stored for jobs of connections with `track`, for `status_ttl` seconds after the last update.
 *
 * The properties are read-only. Times are Unix seconds with fractions, by the clock of the broker that keeps them.
 */
final class Status
{
    /** It waits for a worker, or for its due time. */
    public const QUEUED = 'queued';

    /** Its handler runs. */
    public const RUNNING = 'running';

    /** An attempt failed or released it. */
    public const RETRYING = 'retrying';

    /** It is done. */
    public const SUCCEEDED = 'succeeded';

    /** It failed for good. */
    public const FAILED = 'failed';

    /** Its tries or its deadline were over before it could start. */
    public const EXPIRED = 'expired';

    /** @var string the id in the job's payload */
    public $id;

    /** @var self::QUEUED|self::RUNNING|self::RETRYING|self::SUCCEEDED|self::FAILED|self::EXPIRED where the job is */
    public $state;

    /** @var string `Class`, `Class@method` or a short name */
    public $job;

    /** @var string its queue */
    public $queue;

    /** @var string the name of its connection */
    public $connection;

    /** @var int<0, max> the number of the last attempt; 0 before the first */
    public $attempts;

    /** @var int<0, 100> percent, as {@see Job::progress()} reported; 100 when it succeeded */
    public $progress;

    /** @var string|null the message of {@see Job::progress()} */
    public $message;

    /** @var mixed what {@see Job::result()} stored, objects as arrays; null until the attempt has ended */
    public $result;

    /** @var string|null why the last attempt failed, at most 4 KiB; null once the job succeeded */
    public $error;

    /** @var float|null when it was pushed; null when that was not recorded */
    public $queuedAt;

    /** @var float|null when the last attempt started */
    public $startedAt;

    /** @var float|null when it finished */
    public $finishedAt;

    /** @var float when it was last updated */
    public $updatedAt;

    /** Not to be called: use {@see find()}. */
    public function __construct()
    {
    }

    /**
     * The stored status of the job with this id.
     *
     * @param string $id the id that push returned
     * @param string|Connection|null $connection the connection of the job, by name or as an object; null means the default one
     * @return Status|null null when there is none, or no longer
     * @throws InvalidArgumentException `$connection` is none of these
     * @throws ConfigException no such connection; or its broker cannot store statuses and `control` names no other
     * @throws BrokerException or a subclass
     */
    public static function find(string $id, mixed $connection = null): ?Status
    {
    }

    /**
     * Reads it again.
     *
     * @return bool false when it no longer exists; then this object stays as it is
     * @throws ConfigException as for {@see find()}
     * @throws BrokerException or a subclass
     */
    public function refresh(): bool
    {
    }

    /** Whether the job has finished: succeeded, failed or expired. */
    public function isFinished(): bool
    {
    }

    /**
     * All properties as an array.
     *
     * @return array{id: string, state: 'queued'|'running'|'retrying'|'succeeded'|'failed'|'expired', job: string, queue: string, connection: string, attempts: int, progress: int,
     *     message: string|null, result: mixed, error: string|null, queued_at: float|null, started_at: float|null,
     *     finished_at: float|null, updated_at: float}
     */
    public function toArray(): array
    {
    }
}
