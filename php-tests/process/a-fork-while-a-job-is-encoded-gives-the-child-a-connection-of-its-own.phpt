--TEST--
A fork while a job is encoded gives the child a link of its own: both pushes are stored once
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

class Forks implements JsonSerializable
{
    public static int $child = -1;

    public function jsonSerialize(): mixed
    {
        self::$child = pcntl_fork();
        return self::$child === 0 ? 'child' : 'parent';
    }
}

$server = RedisServer::start();
Queue::configure($server->dsn());
Queue::push('Job1', 'before');
$links = count($server->client()->client('list'));
Queue::push('Job1', new Forks());
if (Forks::$child === 0) {
    // While the child lives its own link is open beside the parent's.
    exit(count($server->client()->client('list')) === $links + 1 ? 0 : 1);
}
same('the child had a link of its own', 0, reap(Forks::$child));
Queue::push('Job1', 'after');
$data = array_map(fn ($body) => json_decode($body)->data, Queue::connection()->peek(limit: 10));
sort($data);
same('each is stored once', ['after', 'before', 'child', 'parent'], $data);
done();
?>
--EXPECT--
ok
