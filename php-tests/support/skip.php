<?php
// For --SKIPIF--: what a test needs. Locally a missing server skips the test and says so; in CI it is a failure.

function needs(string ...$what): void
{
    foreach ($what as $need) {
        if (!available($need) && !getenv('CI')) {
            die("skip needs $need\n");
        }
    }
}

function available(string $need): bool
{
    return match ($need) {
        'rabbitmq' => glob('/usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server') !== [] && is_file('/usr/share/php/PhpAmqpLib/autoload.php'),
        'mariadb' => is_file('/usr/sbin/mariadbd') && extension_loaded('pdo_mysql'),
        'messenger' => is_file('/usr/share/php/Symfony/Component/Messenger/Bridge/Amqp/autoload.php') && is_file('/usr/share/php/Symfony/Component/Serializer/autoload.php') && is_file('/usr/share/php/Symfony/Component/PropertyAccess/autoload.php'),
        'illuminate' => is_file('/usr/share/php/Illuminate/Queue/autoload.php') && is_file('/usr/share/php/Illuminate/Database/autoload.php'),
        'postgres' => glob('/usr/lib/postgresql/*/bin/postgres') !== [] && extension_loaded('pdo_pgsql'),
        'redis-server' => trim((string) shell_exec('command -v redis-server')) !== '' && extension_loaded('redis'),
        default => extension_loaded($need),
    };
}
