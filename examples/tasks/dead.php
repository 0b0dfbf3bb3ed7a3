<?php

use Ferry\Task\DeadLetters;

$dead = new DeadLetters('amqp://guest:guest@127.0.0.1:5672/');
foreach ($dead->list() as $letter) {
    echo $letter['type'], ': ', $letter['message'], "\n";
}
echo $dead->requeue('all'), " requeued\n";
