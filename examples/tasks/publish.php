<?php

use Ferry\Task\{TaskMessage, TaskProducer};

$producer = new TaskProducer('amqp://guest:guest@127.0.0.1:5672/');
$producer->publish(new TaskMessage('email.send', ['to' => 'ada@example.com'], priority: 8));
$producer->publish(new TaskMessage('email.send', ['to' => 'nobody'], maxRetries: 1));
echo "published\n";
