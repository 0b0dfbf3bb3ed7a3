<?php

namespace Ferry\Task;

/**
 * A task: what is to be done, with what, how urgently, how often and until when.
 *
 * Everything is a public property. A handler may change it; the next try of the task then carries the change.
 */
class TaskMessage
{
    /** @var string `task_` + `YmdHis` + `_` + 16 lower-case hex digits */
    public $taskId;
    /** @var string what is to be done */
    public $taskType;
    /** @var array<mixed> with what */
    public $payload;
    /** @var int 1 to 10: 8 to 10 go to `task.high`, 4 to 7 to `task.normal`, 1 to 3 to `task.low` */
    public $priority;
    /** @var int executions at most; 0 means one, like 1 */
    public $maxRetries;
    /** @var int executions that failed */
    public $currentRetry;
    /** @var int unix second */
    public $createdAt;
    /** @var int unix second after which nobody runs it */
    public $expireAt;
    /** @var array<mixed> whatever goes with it */
    public $metadata;

    /**
     * A new task, with an id of its own.
     *
     * @param string $taskType 1 to 255 bytes of UTF-8
     * @param array<mixed> $payload anything `json_encode()` can write
     * @param int $priority out of 1 to 10 it counts as the nearest one in it
     * @param int $maxRetries executions at most
     * @param int $ttl seconds it lives; publishing one that is over is an error
     * @throws \Ferry\InvalidArgumentException the type cannot be carried
     */
    public function __construct(string $taskType, array $payload, int $priority = 5, int $maxRetries = 3, int $ttl = 86400)
    {
    }

    /**
     * Counts a failed execution. The consumer does that by itself.
     */
    public function incrementRetry(): void
    {
    }

    /**
     * Whether `currentRetry` is less than `maxRetries`.
     */
    public function canRetry(): bool
    {
    }

    /**
     * Whether `expireAt` is over.
     */
    public function isExpired(): bool
    {
    }

    /**
     * The fields as the wire calls them: `task_id`, `task_type`, `payload`, `priority`, `max_retries`, `current_retry`, `created_at`,
     * `expire_at`, `metadata`.
     *
     * @return array<string, mixed>
     */
    public function toArray(): array
    {
    }

    /**
     * A task from such an array. What is missing has its default, except id and type.
     *
     * @param array<string, mixed> $data
     * @return TaskMessage
     * @throws \Ferry\InvalidArgumentException a field is missing or of the wrong kind
     */
    public static function fromArray(array $data): object
    {
    }
}
