<?php

// php worker.php email,images,low [--drain]: works these queues, the first one first. --drain ends it when nothing is ready.

declare(strict_types=1);

use Ferry\RedisTask\Worker;

require __DIR__ . '/app.php';

$worker = new Worker(queues(), [
    'timeout' => 60,
    'log' => 'none',                                    // for the example: its tasks print what they do
    'stop_when_empty' => in_array('--drain', $argv, true),
    'handlers' => [                                     // with strict: nothing but these classes is built from a body
        App\Tasks\SendWelcomeMail::class,
        App\Tasks\MakeAvatar::class,
        App\Tasks\RefreshReport::class,
        App\Tasks\ImportUsers::class,
        App\Tasks\GreetById::class,
        App\Tasks\GreetObject::class,
    ],
    'strict' => true,
]);
exit($worker->start($argv[1] ?? implode(',', QUEUES)));
