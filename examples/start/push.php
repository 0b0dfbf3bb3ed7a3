<?php

require __DIR__ . '/config.php';

Ferry\Queue::push('SendMail', ['to' => 'ada@example.com'], 'mail');
Ferry\Queue::push('SendMail', ['to' => 'nobody'], 'mail');
Ferry\Queue::later(3600, 'SendMail', ['to' => 'alan@example.com'], 'mail');     // in an hour

echo Ferry\Queue::size('mail'), " jobs\n";
