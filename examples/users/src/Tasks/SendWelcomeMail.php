<?php

namespace App\Tasks;

use Ferry\RedisTask\Task;
use RuntimeException;

/** Sends a new user the first mail. Here a mail is a line in the file `outbox`. */
final class SendWelcomeMail extends Task
{
    protected $maxAttempts = 5;
    private bool $isRefused = false;

    public function handle(): bool
    {
        $user = users()->get($this->data['user_id']);
        if (!filter_var($user->email, FILTER_VALIDATE_EMAIL)) {
            $this->isRefused = true;
            throw new RuntimeException("the mail server refuses $user->email");
        }
        file_put_contents(folder() . '/outbox', "$user->email: Welcome, $user->name!\n", FILE_APPEND);
        echo "  a mail to $user->email\n";
        return true;
    }

    /** A server that is down is tried again, after 60, 120, 240 seconds. An address that is wrong stays wrong. */
    public function canRetry(): bool
    {
        return !$this->isRefused && parent::canRetry();
    }

    public function failed(\Exception $exception): void
    {
        echo "  no welcome for user {$this->data['user_id']}: {$exception->getMessage()}\n";
    }
}
