<?php

use Ferry\Task\{TaskConsumer, TaskHandlerRegistry};

require __DIR__ . '/SendMail.php';

$registry = new TaskHandlerRegistry();
$registry->register(new SendMail());
$consumer = new TaskConsumer('amqp://guest:guest@127.0.0.1:5672/', $registry, [
    'timeout' => 60,
    'stop_when_empty' => in_array('--drain', $argv, true),          // for this page; a real consumer waits for tasks
]);
exit($consumer->consumeAll());
