<?php

use Ferry\RedisTask\Task;

class SendWelcomeMail extends Task
{
    protected $maxAttempts = 1;                                         // 3 by default

    public function handle(): bool
    {
        if (!str_contains($this->data['to'], '@')) {
            throw new RuntimeException('not an address: ' . $this->data['to']);
        }
        echo "mail to {$this->data['to']}\n";
        return true;
    }
}
