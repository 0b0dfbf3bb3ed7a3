<?php

// A worker that runs TimedJob until SIGTERM, then prints how long each job took to be fired. Its argument says which.

declare(strict_types=1);

namespace Bench;

$kind = $argv[1];
$sqlite = str_contains($kind, 'sqlite');
require $sqlite ? __DIR__ . '/../lib/sqlite_row.php' : __DIR__ . '/../lib/redis_row.php';

/** think-queue's loop: work, or sleep when there was nothing. */
function think_loop(object $queue, int $sleep): void
{
    $stop = false;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$stop) {
        $stop = true;
    });
    while (!$stop) {
        if (!$queue->work() && $sleep > 0) {
            sleep($sleep);
        }
    }
}

switch ($kind) {
    case 'ferry-redis':
    case 'ferry-sqlite':
        configure_ferry();
        $worker = new \Ferry\Worker(['queue' => QUEUE, 'log' => 'none']);
        pcntl_async_signals(true);
        pcntl_signal(SIGTERM, fn () => $worker->stop());
        $worker->run();
        break;
    case 'think-redis-sleep':
        think_loop(new ThinkRedis(redis(), KEY), 3);
        break;
    case 'think-redis-block':
        think_loop(new ThinkRedis(redis(), KEY, blockFor: 1), 0);
        break;
    case 'think-sqlite-sleep':
        think_loop(ThinkSqlite::open(file_of('think'), 'DELETE'), 3);
        break;
    default:
        fail("there is no worker $kind");
}
answer(\TimedJob::$took);
