<?php

use Ferry\RedisTask\{QueueManager, Worker};

require __DIR__ . '/SendWelcomeMail.php';

$worker = new Worker(new QueueManager('127.0.0.1', 6379), [
    'timeout' => 60,
    'stop_when_empty' => in_array('--drain', $argv, true),              // for this page; a real worker waits for tasks
]);
exit($worker->start('email'));
