<?php

namespace Ferry\Task;

/**
 * Which handler runs which type of task.
 */
class TaskHandlerRegistry
{
    /**
     * An empty registry.
     */
    public function __construct()
    {
    }

    /**
     * Adds a handler. Of several that list the same type the last one applies; of those with `supports()` alone, the first that returns true.
     *
     * @param TaskHandlerInterface $handler
     * @throws \Ferry\InvalidArgumentException it is not a handler, or its `getSupportedTypes()` does not return a list
     */
    public function register(mixed $handler): void
    {
    }

    /**
     * The handler of this type.
     *
     * @return TaskHandlerInterface
     * @throws \Ferry\HandlerNotFoundException there is none; {@see has()} asks first
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
