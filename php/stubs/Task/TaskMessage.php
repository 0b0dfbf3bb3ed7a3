<?php

namespace Ferry\Task;

/**
 * A task: its type, payload, priority, number of executions and expiry.
 *
 * All fields are public properties. A handler may change them; the next retry of the task then carries the change. Tasks can be serialized.
 */
class TaskMessage
{
    /** @var string `task_` + `YmdHis` + `_` + 16 lower-case hex digits */
    public $taskId;
    /** @var string the type of the task */
    public $taskType;
    /** @var array<mixed> its data */
    public $payload;
    /** @var int 1 to 10: 8 to 10 go to `task.high`, 4 to 7 to `task.normal`, 1 to 3 to `task.low` */
    public $priority;
    /** @var int executions at most; 0 means one, like 1 */
    public $maxRetries;
    /** @var int executions that failed */
    public $currentRetry;
    /** @var int Unix timestamp */
    public $createdAt;
    /** @var int Unix timestamp after which it does not run */
    public $expireAt;
    /** @var array<mixed> any further data */
    public $metadata;

    /**
     * A new task, with an id of its own.
     *
     * @param string $taskType 1 to 255 bytes of UTF-8
     * @param array<mixed> $payload anything `json_encode()` can encode
     * @param int $priority outside 1 to 10 it counts as the nearest one
     * @param int $maxRetries executions at most
     * @param int $ttl seconds until it expires; publishing an expired task is an error
     * @throws \Ferry\InvalidArgumentException the type is invalid
     */
    public function __construct(string $taskType, array $payload, int $priority = 5, int $maxRetries = 3, int $ttl = 86400)
    {
    }

    /**
     * Counts a failed execution. The consumer does that itself.
     *
     * @return $this
     */
    public function incrementRetry(): mixed
    {
    }

    /**
     * Reports how far its handler is, for {@see \Ferry\Status}. Does nothing while the handler does not run, and without `track` on the connection.
     *
     * @param int $percent 0 to 100
     * @param string|null $message in words, up to 1024 bytes
     */
    public function progress(int $percent, ?string $message = null): void
    {
    }

    /**
     * Whether `currentRetry` is less than `maxRetries`.
     */
    public function canRetry(): bool
    {
    }

    /**
     * Whether `expireAt` has passed.
     */
    public function isExpired(): bool
    {
    }

    /**
     * The fields by their names in the wire format: `task_id`, `task_type`, `payload`, `priority`, `max_retries`, `current_retry`, `created_at`,
     * `expire_at`, `metadata`.
     *
     * @return array<string, mixed>
     */
    public function toArray(): array
    {
    }

    /**
     * A task from such an array. Missing fields have their defaults, except id and type.
     *
     * @param array<string, mixed> $data
     * @return TaskMessage
     * @throws \Ferry\InvalidArgumentException a field is missing or of the wrong type
     */
    public static function fromArray(array $data): object
    {
    }
}
