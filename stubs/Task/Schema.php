<?php

namespace Ferry\Task;

/**
 * What the tasks need on the broker.
 */
class Schema
{
    /**
     * Not for callers: it throws.
     */
    public function __construct()
    {
    }

    /**
     * Exchanges, queues and bindings in words, one a line.
     *
     * @return list<string>
     */
    public static function declarations(): array
    {
    }

    /**
     * Commands for `rabbitmqctl` that keep dead letters for seven days: those that expire in `task.dlq` go to `task.dlq.kept`.
     *
     * @param string|null $vhost `/` without
     * @return list<string>
     */
    public static function policies(?string $vhost = null): array
    {
    }

    /**
     * Declares all of it now, `task.dlq.kept` too. Otherwise the first task declares what it needs.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @throws \Ferry\Exception the broker was not reached, or has something else of that name
     */
    public static function declare(mixed $connection): void
    {
    }
}
