--TEST--
Rows of failed_jobs that name another configured connection are neither retried nor forgotten, unless it is named
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

$path = temp_dir() . '/shared.sqlite';
Queue::configure(['default' => 'database', 'connections' => [
    'database' => ['type' => 'sqlite', 'path' => $path],
    'redis' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => 1],
]]);
$connection = Queue::connection();
$connection->size();
$pdo = new PDO("sqlite:$path");
$ids = [];
foreach (['database', 'redis', 'long-gone'] as $name) {
    $pdo->prepare("INSERT INTO failed_jobs (connection, queue, payload, exception, fail_time) VALUES (?, 'default', ?, 'e', '2024-01-01 00:00:00')")
        ->execute([$name, json_encode(['job' => 'Job1', 'data' => $name])]);
    $ids[$name] = $pdo->lastInsertId();
}
same('all are shown', ['long-gone', 'redis', 'database'], array_column($connection->failed(), 'connection'));
same('its own and an unknown one are retried', 2, $connection->retryFailed('all'));
same('in this order', ['database', 'long-gone'], array_map(fn ($body) => json_decode($body)->data, $connection->peek()));
same('not by its id alone', 0, $connection->retryFailed($ids['redis']));
same('nor forgotten with all', 0, $connection->forgetFailed('all'));
same('nor by a name that has none', 0, $connection->forgetFailed(['connection' => 'long-gone']));
same('it is left', ['redis'], array_column($connection->failed(), 'connection'));
same('by its name it is forgotten', 1, $connection->forgetFailed(['connection' => 'redis', 'before' => time()]));
holds('a connection has a name', 'InvalidArgumentException', thrown(fn () => $connection->forgetFailed(['connection' => ''])));
done();
?>
--EXPECT--
ok
