<?php

namespace Ferry\Task;

/**
 * Which handler takes which type of task.
 */
class TaskHandlerRegistry
{
    /**
     * An empty one.
     */
    public function __construct()
    {
    }

    /**
     * Adds a handler. Of several that name the same type the last counts; of those that are asked, the first that says yes.
     *
     * @param TaskHandlerInterface $handler
     * @throws \Ferry\InvalidArgumentException it is no handler, or its `getSupportedTypes()` answers no list
     */
    public function register(mixed $handler): void
    {
    }

    /**
     * The handler of this type, null when there is none.
     *
     * @return TaskHandlerInterface|null
     */
    public function get(string $taskType): mixed
    {
    }

    /**
     * Whether there is one.
     */
    public function has(string $taskType): bool
    {
    }
}
