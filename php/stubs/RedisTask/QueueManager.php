<?php

namespace Ferry\RedisTask;

/**
 * Queues of plain Redis tasks on one server.
 */
class QueueManager
{
    /**
     * @param mixed $host a host name, or a {@see \Ferry\Connection} with `family` => 'redis-task'; 127.0.0.1 without it
     */
    public function __construct(mixed $host = null, int $port = 6379)
    {
    }

    /**
     * Stores a task: at once, or after its `$delay`.
     *
     * @param mixed $task a {@see Task}
     * @param string|null $queue `default_queue` without it
     */
    public function push(mixed $task, ?string $queue = null): bool
    {
    }

    /**
     * Takes the next task off a queue for good. What cannot be built goes to the failed list.
     *
     * @param int $timeout seconds to wait for one
     * @return mixed a {@see Task}; null when there is none
     */
    public function pop(?string $queue = null, int $timeout = 5): mixed
    {
    }

    /**
     * Adds a task to the failed list of a queue.
     *
     * @param mixed $task a {@see Task}
     * @param mixed $error an exception or a text
     */
    public function markAsFailed(mixed $task, mixed $error = null, ?string $queue = null): bool
    {
    }

    /**
     * Tasks by state.
     *
     * @return array{pending: int, delayed: int, failed: int}
     */
    public function getStats(?string $queue = null): array
    {
    }
}
