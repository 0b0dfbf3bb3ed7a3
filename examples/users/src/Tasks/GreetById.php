<?php

namespace App\Tasks;

use Ferry\RedisTask\Task;

/** What a task should look like: it holds an id. */
final class GreetById extends Task
{
    public function handle(): bool
    {
        echo '  the task with an id: Hello, ', users()->get($this->data['user_id'])->name, "\n";
        return true;
    }
}
