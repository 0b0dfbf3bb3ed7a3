<?php

// A worker for the tasks of orders. SIGTERM lets it finish the current task and leave with 0; run as many as you like.

require __DIR__ . '/src/autoload.php';

use Ferry\Task\TaskConsumer;
use Ferry\Task\TaskHandlerRegistry;
use Shop\Handlers;
use Shop\Settings;

$settings = Settings::fromEnvironment();
$registry = new TaskHandlerRegistry();
$registry->register(new Handlers\SendOrderMail($settings));
$registry->register(new Handlers\SendSms($settings));
$registry->register(new Handlers\MakePicture($settings));
$registry->register(new Handlers\SyncWarehouse($settings));
$registry->register(new Handlers\RefreshReport($settings));

$consumer = new TaskConsumer(Settings::broker(), $registry, ['prefetch_count' => 4]);
pcntl_async_signals(true);
pcntl_signal(SIGTERM, fn () => $consumer->stop());
$consumer->consumeAll();
$consumer->close();
