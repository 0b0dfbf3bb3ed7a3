<?php

// What became of every job: from the notes of the handlers, and from the broker.

$queue = getenv('FERRY_DEMO_QUEUE');
$told = [];
foreach (file(getenv('FERRY_DEMO_DIR') . '/notes', FILE_IGNORE_NEW_LINES) as $line) {
    [$label, $what] = explode("\t", $line);
    $told[$label][] = $what;
}
ksort($told);
foreach ($told as $label => $what) {
    printf("%-12s  %s\n", $label, implode('; ', $what));
}
foreach (Ferry\Queue::connection()->failed($queue) as $failed) {
    printf(
        "%-12s  in the failed store after %d attempts: %s\n",
        json_decode($failed['payload'], true)['data']['label'],
        $failed['attempts'],
        strtok($failed['exception'], "\n") === false ? '' : preg_replace('/ in .*/', '', strtok($failed['exception'], "\n")),
    );
}
echo 'left: ', json_encode(Ferry\Queue::stats($queue)), "\n";
