<?php

namespace Ferry\Task;

/**
 * Takes tasks and runs their handlers.
 */
class TaskConsumer
{
    /**
     * Opens nothing yet.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @param TaskHandlerRegistry $registry
     * @param array<string, mixed> $config `prefetch_count` tasks held of each queue (10); `queues`, the highest first (`task.high`, `task.normal`,
     *     `task.low`); it stops after `max_tasks` (0: never), `max_time` seconds (0: never), `memory` MiB of PHP (0: no limit), or with
     *     `stop_when_empty` when nothing is ready (false); `log` false keeps it quiet (true)
     * @throws \Ferry\InvalidArgumentException an unknown option, a wrong value, no registry
     * @throws \Ferry\ConfigException there is no such connection, or it is not RabbitMQ
     */
    public function __construct(mixed $connection, mixed $registry, array $config = [])
    {
    }

    /**
     * Takes tasks of one queue until {@see stop()}, a signal or a limit.
     *
     * @param callable(TaskMessage): TaskResult|null $callback runs them; without it the handlers of the registry do
     * @throws \Ferry\ConnectionException the broker was not reached at the start; later it is tried again
     * @throws \Ferry\Exception the broker refused
     */
    public function consume(string $queue, mixed $callback = null): void
    {
    }

    /**
     * Takes tasks of all its queues: the highest that has one, and of each that waits at least one in sixteen.
     *
     * @throws \Ferry\Exception as {@see consume()}
     */
    public function consumeAll(): void
    {
    }

    /**
     * Runs one task, when one comes within 200 ms.
     *
     * @return bool whether there was one
     * @throws \Ferry\Exception as {@see consume()}
     */
    public function process(): bool
    {
    }

    /**
     * Asks it to stop after the current task. Takes any arguments, so that it is a signal handler.
     */
    public function stop(mixed ...$ignored): void
    {
    }

    /**
     * Whether it is at work.
     */
    public function isRunning(): bool
    {
    }

    /**
     * Stops it too: the connection belongs to the process.
     */
    public function close(): void
    {
    }

    /**
     * Adds a listener: `starting($task)`, `success($task, $result)`, `retry($task, $count, $maxRetries, $seconds)`, `failed($task, $why)`,
     * `error($task, $throwable)`, `expired($id)`, `poison($id, $why)`, `stopping()`. A task that was not run (expired, or counted because its
     * worker died) is told by its id.
     *
     * @param callable $listener
     * @throws \Ferry\InvalidArgumentException there is no such event, or it is not callable
     */
    public function on(string $event, mixed $listener): void
    {
    }
}
