<?php

// ThinkPHP's own file. `type` is all that was changed: it said `redis`.
return [
    'default' => 'redis',
    'connections' => [
        'sync' => ['type' => 'sync'],
        'redis' => [
            'type' => 'ferry',
            'queue' => 'default',
            'host' => '127.0.0.1',
            'port' => (int) (getenv('REDIS_PORT') ?: 6379),
            'password' => '',
            'select' => 0,
            'timeout' => 0,
            'persistent' => false,
        ],
    ],
    'failed' => ['type' => 'none', 'table' => 'failed_jobs'],
];
