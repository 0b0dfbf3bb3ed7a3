<?php

use Ferry\RedisTask\QueueManager;

require __DIR__ . '/SendWelcomeMail.php';

$manager = new QueueManager('127.0.0.1', 6379);
$manager->push(new SendWelcomeMail(['to' => 'ada@example.com']), 'email');
$manager->push(new SendWelcomeMail(['to' => 'nobody']), 'email');

$reminder = new SendWelcomeMail(['to' => 'alan@example.com']);
$reminder->delay = 300;                                                 // in 5 minutes
$manager->push($reminder, 'email');

foreach ($manager->getStats('email') as $state => $tasks) {
    echo "$state: $tasks\n";
}
