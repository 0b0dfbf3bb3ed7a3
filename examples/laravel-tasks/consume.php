<?php

use Ferry\Task\{TaskConsumer, TaskHandlerRegistry};

require __DIR__ . '/SendMail.php';

$registry = new TaskHandlerRegistry();
$registry->register(new SendMail());
$consumer = new TaskConsumer('amqp://guest:guest@127.0.0.1:5672/', $registry, [
    // `default` is the queue of Laravel. A failed task is tried again through task.normal, in Ferry's format.
    'queues' => ['task.high', 'task.normal', 'task.low', 'default'],
    'decode' => require __DIR__ . '/decode.php',
    'stop_when_empty' => in_array('--drain', $argv, true),          // for this page; a real consumer waits for tasks
]);
exit($consumer->consumeAll());
