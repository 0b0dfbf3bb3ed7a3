--TEST--
On RabbitMQ a failed job is listed and retried by the id that its push returned, with track and without
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets', 'redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/rabbit.php';
require_once __DIR__ . '/../support/redis.php';

final class Fails
{
    public function fire($job, $data): void
    {
        throw new RuntimeException('no');
    }
}

$node = RabbitNode::shared();
Ferry\Queue::configure(['default' => 'tracked', 'connections' => [
    'tracked' => $node->config(['queue' => 'tracked', 'track' => true, 'control' => 'flags']),
    'plain' => $node->config(['queue' => 'plain']),
    'flags' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => RedisServer::start()->port],
]]);
foreach (['tracked', 'plain'] as $name) {
    $connection = Ferry\Queue::connection($name);
    $id = $connection->push('Fails');
    (new Ferry\Worker(['connection' => $name, 'tries' => 1, 'stop_when_empty' => true, 'log' => 'none']))->run();
    same("$name: listed", [[$id, $id]], array_map(fn ($failed) => [$failed['id'], $failed['job_id']], $connection->failed()));
    same("$name: retried", 1, $connection->retryFailed($id));
    same("$name: ready", 1, $connection->size());
}
done();
?>
--EXPECT--
ok
