<?php

namespace Ferry\Task;

/**
 * Tasks that failed for good. RabbitMQ has no looking: each word takes the letters and puts them back where they lay.
 */
class DeadLetters
{
    /**
     * Opens nothing yet.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @param string|null $queue `task.dlq` without
     * @throws \Ferry\Exception as {@see TaskProducer::__construct()}
     */
    public function __construct(mixed $connection, ?string $queue = null)
    {
    }

    /**
     * The oldest ones: `id`, `type`, `reason` (failed, expired, rejected, maxlen, poison), `message`, `trace`, `failed_at`, `priority`,
     * `current_retry`, `max_retries`, `created_at`, `expire_at`, `payload`, `body` (the bytes that lie there). What is no task has nulls.
     *
     * @return list<array<string, mixed>>
     * @throws \Ferry\Exception the broker was not reached, or refused
     */
    public function list(int $limit = 100): array
    {
    }

    /**
     * The one of the task with this id, as {@see list()} shows it; null when there is none.
     *
     * @return array<string, mixed>|null
     */
    public function show(string $id): ?array
    {
    }

    /**
     * Publishes tasks anew, with no failed execution and, where they expired, with the time they once had; each is confirmed before its letters
     * go. What is no task stays.
     *
     * @param string $which an id, a type, or `all`
     * @return int how many tasks; several letters of one task make one
     */
    public function requeue(string $which): int
    {
    }

    /**
     * Removes all for good.
     *
     * @return int how many
     */
    public function purge(): int
    {
    }
}
