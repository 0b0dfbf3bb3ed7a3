<?php

use Ferry\Queue;

Queue::configure(['default' => 'tasks', 'connections' => [
    'tasks' => ['type' => 'redis', 'family' => 'redis-task', 'host' => '127.0.0.1', 'port' => 6379],
]]);
foreach (Queue::failed('email') as $failed) {
    echo $failed['reason'], ': ', strtok($failed['exception'], "\n"), "\n";
}
echo Queue::retryFailed('all', 'email'), " ready again\n";
