<?php

namespace app;

/** What the container gives to handlers. */
class Mailer
{
    public function send(string $to, string $subject): void
    {
        echo "mail to $to: $subject\n";
    }
}
