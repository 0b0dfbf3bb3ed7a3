<?php

namespace Ferry\Task;

/**
 * Consumes tasks and runs their handlers.
 */
class TaskConsumer
{
    /**
     * Opens nothing yet.
     *
     * @param string|array<string, mixed>|\Ferry\Connection|null $connection as {@see TaskProducer::__construct()}
     * @param TaskHandlerRegistry $registry
     * @param array<string, mixed> $config `prefetch_count` tasks held per queue (10); `queues`, highest priority first (`task.high`, `task.normal`,
     *     `task.low`); it stops after `max_tasks` (0: never), `max_time` seconds (0: never), `memory` MiB (0: no limit), or with `stop_when_empty`
     *     when nothing is ready (false); `timeout` seconds that a task may run (0: no limit); `decode`, a callable
     *     `(string $body, array $headers, array $properties): ?TaskMessage` that makes tasks of messages of other programs; null and exceptions make
     *     them dead letters; `log` plain, json, none or a PSR-3 logger (plain);
     *     `warn_before`, `grace`, `stop_timeout`, `max_outage`, `health_file`, `log_level`, `status`, `parent` as {@see \Ferry\Worker}
     * @throws \Ferry\InvalidArgumentException an unknown option, a wrong value, no registry
     * @throws \Ferry\ConfigException there is no such connection, or it is not RabbitMQ
     */
    public function __construct(mixed $connection, mixed $registry, array $config = [])
    {
    }

    /**
     * Runs tasks of one queue until {@see stop()}, a signal or a limit.
     *
     * @param callable(TaskMessage): TaskResult|null $callback runs them instead of the handlers of the registry
     * @return int the exit code, as that of {@see \Ferry\Worker::run()}
     * @throws \Ferry\ConnectionException the broker could not be reached at the start; later the consumer reconnects
     * @throws \Ferry\Exception the broker refused
     */
    public function consume(string $queue, mixed $callback = null): int
    {
    }

    /**
     * Runs tasks of all its queues: the highest-priority queue that has one is next, and each non-empty queue gets at least one in sixteen.
     *
     * @return int the exit code, as that of {@see \Ferry\Worker::run()}
     * @throws \Ferry\Exception as {@see consume()}
     */
    public function consumeAll(): int
    {
    }

    /**
     * Runs one task if one arrives within 200 ms.
     *
     * @return bool whether there was one
     * @throws \Ferry\Exception as {@see consume()}
     */
    public function process(): bool
    {
    }

    /**
     * Asks it to stop after the current task. Accepts any arguments, so that it can be a signal handler.
     */
    public function stop(mixed ...$ignored): void
    {
    }

    /**
     * Asks it to finish the current task and wait. Accepts any arguments, so that it can be a signal handler.
     */
    public function pause(mixed ...$ignored): void
    {
    }

    /**
     * Lets it continue. Accepts any arguments, so that it can be a signal handler.
     */
    public function resume(mixed ...$ignored): void
    {
    }

    /**
     * Whether it is running.
     */
    public function isRunning(): bool
    {
    }

    /**
     * Stops it as well: the connection belongs to the process.
     */
    public function close(): void
    {
    }

    /**
     * Adds a listener: `starting($task)`, `success($task, $result)`, `retry($task, $count, $maxRetries, $seconds)`, `failed($task, $why)`,
     * `error($task, $throwable)`, `timeout($task, $seconds)`, `released($task, 0)`, `expired($id)`, `poison($id, $why)`, `ready()`, `looping()`,
     * `paused()`, `resumed()`, `stopping($code)`. A task that was not run (expired, or counted because its
     * worker died) is passed as its id.
     *
     * @param callable $listener
     * @throws \Ferry\InvalidArgumentException there is no such event, or it is not callable
     */
    public function on(string $event, mixed $listener): void
    {
    }
}
