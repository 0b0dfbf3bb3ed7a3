<?php

// The producer: what a controller or a command of yours would do.

require __DIR__ . '/handlers.php';

use Ferry\Queue;

$queue = getenv('FERRY_DEMO_QUEUE');

Queue::push(SendMail::class, ['label' => 'immediate', 'to' => 'ada@example.com'], $queue);
Queue::later(2, SendMail::class, ['label' => 'delayed 2 s', 'to' => 'alan@example.com'], $queue);
Queue::bulk([SendMail::class, SendMail::class, SendMail::class], ['label' => 'bulk', 'to' => 'list@example.com'], $queue);
Queue::push(FlakyApi::class, ['label' => 'fails twice'], $queue);
Queue::push(BrokenImport::class, ['label' => 'always fails'], $queue);
Queue::push(new ResizeImage('object job', 640), queue: $queue);

echo 'pushed: ', json_encode(Queue::stats($queue)), "\n";
echo 'the first payload: ', Queue::connection()->peek($queue, limit: 1)[0], "\n";
