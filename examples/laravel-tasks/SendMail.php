<?php

use Ferry\Task\{TaskHandlerInterface, TaskMessage, TaskResult};

/** Handles what Laravel dispatched as App\Jobs\SendMail. */
final class SendMail implements TaskHandlerInterface
{
    public function handle(TaskMessage $task): TaskResult
    {
        if (!str_contains($task->payload['to'], '@')) {
            return TaskResult::failure('not an address: ' . $task->payload['to']);
        }
        echo "mail to {$task->payload['to']}\n";
        return TaskResult::success();
    }

    public function supports(string $taskType): bool
    {
        return $taskType === 'App\Jobs\SendMail';
    }
}
