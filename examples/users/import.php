<?php

// php import.php FILE.csv: a task for each 100 rows, dealt out to four queues.

declare(strict_types=1);

use App\Tasks\ImportUsers;

require __DIR__ . '/app.php';

const CHUNK = 100;

$file = realpath($argv[1] ?? '') ?: exit("php import.php FILE.csv\n");
$rows = count(file($file));
$queues = queues();
for ($first = 0, $chunk = 0; $first < $rows; $first += CHUNK, $chunk++) {
    $queue = IMPORT_QUEUES[$chunk % count(IMPORT_QUEUES)];
    $queues->push(new ImportUsers(['file' => $file, 'first' => $first, 'rows' => CHUNK]), $queue);
}
echo "$rows rows in $chunk tasks on ", count(IMPORT_QUEUES), " queues\n";
