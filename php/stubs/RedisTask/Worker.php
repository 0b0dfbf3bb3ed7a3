<?php

namespace Ferry\RedisTask;

/**
 * A worker of plain Redis tasks, with the options, events and exit codes of {@see \Ferry\Worker}.
 */
class Worker
{
    /**
     * @param mixed $manager a {@see QueueManager}
     * @param mixed $options those of {@see \Ferry\Worker}; `handlers` with `strict` is a list of the classes that may run
     */
    public function __construct(mixed $manager, mixed $options = null)
    {
    }

    /**
     * Works until somebody asks it to stop, or a limit is reached.
     *
     * @param mixed $queue queue names between commas, or a list of them
     * @return int the exit code
     * @throws \Ferry\InvalidArgumentException when this worker is running already
     */
    public function start(mixed $queue = null): int
    {
    }

    /**
     * Asks it to stop after the current task. Takes any arguments, so that it is a signal handler.
     */
    public function stop(mixed ...$ignored): void
    {
    }

    /**
     * Adds a listener for the next run.
     */
    public function on(string $event, mixed $listener): void
    {
    }

    /**
     * Prints uptime, processed, pending, delayed and failed tasks. Called after each 100 tasks.
     */
    public function printStats(): void
    {
    }
}
