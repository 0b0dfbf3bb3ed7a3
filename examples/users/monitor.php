<?php

// php monitor.php [--watch]: how many tasks wait, are delayed, have failed. `ferry monitor` shows the workers too.

declare(strict_types=1);

require __DIR__ . '/app.php';

$queues = queues();
do {
    printf("%-10s %7s %7s %7s\n", 'queue', 'pending', 'delayed', 'failed');
    foreach ([...QUEUES, ...IMPORT_QUEUES] as $queue) {
        $stats = $queues->getStats($queue);
        if (array_sum($stats) > 0) {
            printf("%-10s %7d %7d %7d\n", $queue, ...array_values($stats));
        }
    }
} while (in_array('--watch', $argv, true) && sleep(1) === 0);
