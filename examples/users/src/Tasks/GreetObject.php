<?php

namespace App\Tasks;

use App\User;
use Ferry\RedisTask\Task;

/** What a task should not look like: it was given an object. */
final class GreetObject extends Task
{
    protected $maxAttempts = 1;

    public function handle(): bool
    {
        $user = $this->data['user'];
        echo '  the task with an object: what comes back is ', get_debug_type($user), ' with ', implode(', ', array_keys((array) $user)), "\n";
        echo "  the task with an object: Hello, {$user['name']}\n";
        $this->sayGoodbye($user);
        return true;
    }

    private function sayGoodbye(User $user): void
    {
        echo "  Goodbye, $user->name\n";
    }
}
