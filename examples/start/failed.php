<?php

require __DIR__ . '/config.php';

foreach (Ferry\Queue::failed('mail') as $failed) {
    echo $failed['reason'], ': ', strtok($failed['exception'], "\n"), "\n";
}
echo Ferry\Queue::retryFailed('all', 'mail'), " retried\n";
print_r(Ferry\Queue::stats('mail'));
