<?php

// Asks for the synchronisation of the first orders once more, as an operator does who is not sure.
//
//     php sync-again.php HOW-MANY

require __DIR__ . '/../src/autoload.php';

use Ferry\Task\TaskProducer;
use Shop\OrderTasks;
use Shop\Settings;
use Shop\Stage\Orders;

$producer = new TaskProducer(Settings::broker());
$producer->publishBatch(array_map(OrderTasks::sync(...), Orders::many('A', (int) $argv[1])));
$producer->close();
