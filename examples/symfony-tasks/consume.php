<?php

use Ferry\Task\{TaskConsumer, TaskHandlerRegistry};

require __DIR__ . '/ResizePicture.php';

$registry = new TaskHandlerRegistry();
$registry->register(new ResizePicture());
$consumer = new TaskConsumer('amqp://guest:guest@127.0.0.1:5672/', $registry, [
    // `messages` is the queue of Symfony. A failed task is tried again through task.normal, in Ferry's format.
    'queues' => ['task.high', 'task.normal', 'task.low', 'messages'],
    'decode' => require __DIR__ . '/decode.php',
    'stop_when_empty' => in_array('--drain', $argv, true),          // for this page; a real consumer waits for tasks
]);
exit($consumer->consumeAll());
