<?php

namespace Ferry\Task;

/**
 * A handler of tasks. It may have a third method, `getSupportedTypes(): array`, which replaces calling {@see supports()} for each task.
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
