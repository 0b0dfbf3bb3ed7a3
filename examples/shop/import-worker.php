<?php

// A worker for the import. Its arguments are the queues, most important first: give each worker another order, and no queue waits for long.

require __DIR__ . '/src/autoload.php';

$options = ['queue' => array_slice($argv, 1), 'tries' => 6, 'delay' => 1, 'allowed_classes' => [Shop\ImportOrder::class]];
exit((new Ferry\Worker($options + ['connection' => Shop\Settings::broker()]))->run());
