<?php

// ThinkPHP's own file. `connector` is all that was changed: it said `Redis`.
return [
    'connector' => Ferry\Think\Connector::class,
    'expire' => 60,
    'default' => 'default',
    'host' => '127.0.0.1',
    'port' => (int) (getenv('REDIS_PORT') ?: 6379),
    'password' => '',
    'select' => 0,
    'timeout' => 0,
    'persistent' => false,
];
