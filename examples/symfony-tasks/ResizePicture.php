<?php

use Ferry\Task\{TaskHandlerInterface, TaskMessage, TaskResult};

/** Handles what a Symfony application dispatched as App\Message\ResizePicture. */
final class ResizePicture implements TaskHandlerInterface
{
    public function handle(TaskMessage $task): TaskResult
    {
        echo "{$task->payload['file']} to {$task->payload['width']} pixels\n";
        return TaskResult::success();
    }

    public function supports(string $taskType): bool
    {
        return $taskType === 'App\Message\ResizePicture';
    }
}
