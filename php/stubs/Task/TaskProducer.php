<?php

namespace Ferry\Task;

/**
 * Publishes tasks. All producers of a process share one connection, which is opened on first use and is never inherited by a fork.
 */
class TaskProducer
{
    /**
     * Opens nothing yet.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection the name of a connection, a DSN, the array of one connection, or a
     *     connection; null is the default one
     * @param array<string, mixed> $options `gzip`: true compresses bodies of 8192 bytes or more, a number sets another threshold; false, the default, none
     * @throws \Ferry\InvalidArgumentException an unknown option; an object that is not a connection of Ferry
     * @throws \Ferry\ConfigException there is no such connection, or it is not RabbitMQ
     */
    public function __construct(mixed $connection, array $options = [])
    {
    }

    /**
     * Publishes a task and waits until the broker has confirmed it.
     *
     * @param TaskMessage $task
     * @param int $delay seconds until a consumer can get it, 0 or more; it must not expire before
     * @return bool true; everything else is an exception
     * @throws \Ferry\InvalidArgumentException it has expired or would before its delay is over, is too large, or cannot be encoded; nothing was sent
     * @throws \Ferry\ConnectionException the broker could not be reached; nothing was stored, retrying is safe
     * @throws \Ferry\UncertainException the confirm was lost: the task may be stored
     * @throws \Ferry\BrokerException the broker refused; nothing was stored
     */
    public function publish(mixed $task, int $delay = 0): bool
    {
    }

    /**
     * Publishes several tasks: checks all, sends all, then waits for all confirms together.
     *
     * @param list<TaskMessage> $tasks
     * @param int $delay as {@see publish()}, for all of them
     * @return int how many: all of them
     * @throws \Ferry\Exception as {@see publish()}; it says how many were confirmed
     */
    public function publishBatch(array $tasks, int $delay = 0): int
    {
    }

    /**
     * Does nothing: the connection belongs to the process.
     */
    public function close(): void
    {
    }
}
