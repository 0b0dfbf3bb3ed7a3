<?php

namespace Ferry\Task;

/**
 * A handler of tasks. It may have a third method, `getSupportedTypes(): array`, which saves asking {@see supports()} for each task.
 */
interface TaskHandlerInterface
{
    /**
     * Does it. What it throws is a failed execution.
     */
    public function handle(TaskMessage $task): TaskResult;

    /**
     * Whether it takes tasks of this type.
     */
    public function supports(string $taskType): bool;
}
