<?php

namespace Ferry\Task;

/**
 * A handler of tasks. It may have a third method, `getSupportedTypes(): array`, which replaces calling {@see supports()} for each task, and
 * `failed(TaskMessage $task, \Throwable $exception)`, called once when a task that it ran has failed for good and its dead letter is stored.
 *
 * Public properties set limits for its tasks: `$timeout` in seconds (the key `timeout` of a task's `metadata` comes first), `$tries` instead of
 * `maxRetries`, `$backoff` the pauses (`5`, `[1, 5, 30]` or `['base' => 2, 'cap' => 600]`).
 */
interface TaskHandlerInterface
{
    /**
     * Runs the task. An exception is a failed execution.
     */
    public function handle(TaskMessage $task): TaskResult;

    /**
     * Whether it handles tasks of this type.
     */
    public function supports(string $taskType): bool;
}
