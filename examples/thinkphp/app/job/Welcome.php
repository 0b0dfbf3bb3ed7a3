<?php

namespace app\job;

use app\Mailer;

/** An object job: `handle()` gets what it needs from the container. */
class Welcome
{
    public function __construct(private string $to)
    {
    }

    public function handle(Mailer $mailer): void
    {
        $mailer->send($this->to, 'welcome');
    }
}
