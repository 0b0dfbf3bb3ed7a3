<?php

namespace Ferry\Task;

/**
 * The exchanges and queues that tasks need on the broker.
 */
class Schema
{
    /**
     * Not to be called: it throws.
     */
    public function __construct()
    {
    }

    /**
     * Exchanges, queues and bindings as text, one per line.
     *
     * @return list<string>
     */
    public static function declarations(): array
    {
    }

    /**
     * Commands for `rabbitmqctl` that keep dead letters for seven days: those that expire in `task.dlq` go to `task.dlq.kept`.
     *
     * @param string|null $vhost null is `/`
     * @return list<string>
     */
    public static function policies(?string $vhost = null): array
    {
    }

    /**
     * Declares all of them now, including `task.dlq.kept`. Otherwise the first task declares what it needs.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @throws \Ferry\Exception the broker could not be reached, or has something else of that name
     */
    public static function declare(mixed $connection): void
    {
    }
}
