<?php

// php retry.php [QUEUE]: shows each failed task and asks. `ferry retry --ask` does the same.

declare(strict_types=1);

use Ferry\Queue;

require __DIR__ . '/app.php';

foreach (isset($argv[1]) ? [$argv[1]] : QUEUES as $queue) {
    foreach (Queue::failed($queue) as $failed) {
        $task = json_decode($failed['payload'], true);
        echo "$queue: $task[class] ", json_encode($task['data']), "\n  ", strtok($failed['exception'], "\n"), "\n  again? [y/n] ";
        $again = trim((string) fgets(STDIN)) === 'y';
        // Its record goes and the task is ready, in one step; its attempts and its delay begin anew.
        echo $again && Queue::retryFailed($failed['id'], $queue) === 1 ? "ready again\n" : "left\n";
    }
}
