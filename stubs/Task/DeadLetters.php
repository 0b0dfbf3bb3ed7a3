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
     * `failed_at` is local time, `Y-m-d H:i:s`; for a message that the broker moved here, the time at which it did.
     *
     * @param array{type?: string, reason?: string, before?: int|string|\DateTimeInterface, after?: int|string|\DateTimeInterface}|null $conditions
     *     only those that meet all of them; one without a time meets neither `before` nor `after`
     * @return list<array<string, mixed>>
     * @throws \Ferry\Exception the broker could not be reached, or refused
     */
    public function list(int $limit = 100, mixed $conditions = null): array
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
     * Publishes tasks again, with no failed execution and, if they expired, with their original lifetime (the default one if it cannot be told); each
     * is confirmed before its dead letters are removed. A message that is not a task stays, and so does one whose queue refuses it.
     *
     * @param string|list<string>|array{type?: string, reason?: string, before?: int|string|\DateTimeInterface, after?: int|string|\DateTimeInterface} $which
     *     an id, a type, `all`, a list of ids, or conditions as for {@see list()}
     * @return int how many tasks; several dead letters of one task make one
     * @throws \Ferry\BrokerException some tasks were refused, for example because their queue is full; all others were published
     */
    public function requeue(mixed $which): int
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
