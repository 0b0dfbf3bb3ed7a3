<?php

// Waits until nothing is left to work, half a minute at most.

$deadline = microtime(true) + 30;
while (Ferry\Queue::size(getenv('FERRY_DEMO_QUEUE')) > 0) {
    if (microtime(true) > $deadline) {
        fwrite(STDERR, 'still not done: ' . json_encode(Ferry\Queue::stats(getenv('FERRY_DEMO_QUEUE'))) . "\n");
        exit(1);
    }
    usleep(50_000);
}
