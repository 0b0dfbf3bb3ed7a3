<?php

// Hands a file of old orders (one JSON object a line) to the import workers: a hundred orders at a time, over four queues in turn.

require __DIR__ . '/src/autoload.php';

use Shop\ImportOrder;
use Shop\Settings;

const CHUNK = 100;
const QUEUES = 4;

$broker = Settings::broker();
$rows = array_map(fn ($line) => json_decode($line, true, 8, JSON_THROW_ON_ERROR), file($argv[1], FILE_IGNORE_NEW_LINES));
foreach (array_chunk($rows, CHUNK) as $number => $chunk) {
    $broker->bulk(array_map(fn ($row) => new ImportOrder($row), $chunk), '', 'import.' . ($number % QUEUES + 1));
}
echo 'handed over: ', count($rows), ' orders in ', intdiv(count($rows) + CHUNK - 1, CHUNK), ' chunks over ', QUEUES, " queues\n";
