<?php

// What every script of this application begins with: its classes, its tables, its queues.

declare(strict_types=1);

use App\Users;
use Ferry\Queue;
use Ferry\RedisTask\QueueManager;

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    }
});

/** The queues of the application, the urgent ones first: this is their priority. */
const QUEUES = ['email', 'images', 'low'];

/** The import has queues of its own, so that it delays no mail. */
const IMPORT_QUEUES = ['import_0', 'import_1', 'import_2', 'import_3'];

// A connection in the configuration is what the console needs too: `ferry work`, `ferry failed`, `ferry retry --ask`, `ferry monitor`.
Queue::configure(['default' => 'tasks', 'connections' => [
    'tasks' => ['type' => 'redis', 'family' => 'redis-task', 'host' => '127.0.0.1', 'port' => (int) (getenv('REDIS_PORT') ?: 6379)],
]]);

function queues(): QueueManager
{
    return new QueueManager(Queue::connection('tasks'));
}

function users(): Users
{
    static $users = null;
    return $users ??= new Users(folder() . '/users.sqlite');
}

/** Where the application keeps its files. */
function folder(): string
{
    return getenv('APP_FOLDER') ?: __DIR__;
}
