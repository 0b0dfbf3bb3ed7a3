<?php

namespace Ferry\Task;

/**
 * Tasks that failed permanently. RabbitMQ cannot show messages without consuming them: each method takes the dead letters and puts them back in place.
 */
class DeadLetters
{
    /**
     * Opens nothing yet.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @param string|null $queue the queue; null is `task.dlq`
     * @throws \Ferry\Exception as {@see TaskProducer::__construct()}
     */
    public function __construct(mixed $connection, ?string $queue = null)
    {
    }

    /**
     * The oldest ones: `id`, `type`, `reason` (failed, expired, rejected, maxlen, poison), `message`, `trace`, `failed_at`, `priority`,
     * `current_retry`, `max_retries`, `created_at`, `expire_at`, `payload`, `body` (the bytes of the message). A message that is not a task has nulls.
     *
     * @return list<array<string, mixed>>
     * @throws \Ferry\Exception the broker could not be reached, or refused
     */
    public function list(int $limit = 100): array
    {
    }

    /**
     * The dead letter of the task with this id, as {@see list()} shows it; null when there is none.
     *
     * @return array<string, mixed>|null
     */
    public function show(string $id): ?array
    {
    }

    /**
     * Publishes tasks again, with no failed execution and, if they expired, with their original lifetime; each is confirmed before its dead letters
     * are removed. A message that is not a task stays.
     *
     * @param string $which an id, a type, or `all`
     * @return int how many tasks; several dead letters of one task make one
     */
    public function requeue(string $which): int
    {
    }

    /**
     * Removes all permanently.
     *
     * @return int how many
     */
    public function purge(): int
    {
    }
}
