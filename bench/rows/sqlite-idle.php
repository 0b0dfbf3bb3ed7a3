<?php

// An idle worker on a file: CPU, threads, memory.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/sqlite_row.php';
require __DIR__ . '/../lib/fire.php';
require __DIR__ . '/../lib/idle.php';

configure_ferry();
$worker = IdleWorker::start('ferry-sqlite', (bool) getenv('BENCH_BOUND'));
\Ferry\Queue::push(\TimedJob::class, ['pushed' => hrtime(true)], QUEUE);
$worker->wait_for_dot();
sleep(1);
$seconds = amount(12, 2);
$cost = idle_cost(['Ferry\Worker' => $worker->pid()], $seconds);
$cost['Ferry\Worker, threads'] = (string) threads($worker->pid());
$cost['Ferry\Worker, resident'] = resident_mebibytes($worker->pid());
$worker->stop();
answer(['title' => "an idle worker, watched for $seconds s", 'unit' => '', 'values' => $cost]);
