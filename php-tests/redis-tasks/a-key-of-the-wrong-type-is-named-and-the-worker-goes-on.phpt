--TEST--
A key of a plain Redis task queue that holds something else is named with what to do; the worker lives, and goes on when it is mended
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\RedisTask\{QueueManager, Task};

const WORDS = <<<'PHP'
class Says extends Ferry\RedisTask\Task
{
    protected $maxAttempts = 1;
    public function handle(): bool
    {
        echo "{$this->data['word']}\n";
        return $this->data['works'] ?? true;
    }
}
PHP;
eval(WORDS);

$server = RedisServer::start();
$redis = $server->client();
$config = ['type' => 'redis', 'port' => $server->port, 'family' => 'redis-task', 'retry_after' => 2];
$manager = new QueueManager(new Ferry\Connection($config));
$worker = Child::php(WORDS . '
$manager = new Ferry\RedisTask\QueueManager(new Ferry\Connection(' . var_export($config, true) . '));
$log = new class {
    public function log($level, $line, array $context = []) { fwrite(STDERR, "$line\n"); }
};
exit((new Ferry\RedisTask\Worker($manager, ["log" => $log]))->start("mail"));
');
$manager->push(new Says(['word' => 'at first']), 'mail');
$worker->says('at first');

foreach (['mail' => 'list', 'delayed_queue:mail' => 'zset', 'mail:ferry:reserved' => 'zset'] as $key => $wanted) {
    wait_until(fn () => !$redis->exists($key), 'nothing is in work');
    $redis->set($key, 'not a queue');
    $said = "the key `$key` holds a string, where the queue needs a $wanted";
    wait_until(fn () => str_contains($worker->err(), $said), "the worker names $key");
    if ($key === 'mail') {
        holds('push says so too', $said, thrown(fn () => $manager->push(new Says(['word' => 'x']), 'mail')));
        holds('with what to do', 'rename or remove that key', thrown(fn () => $manager->getStats('mail')));
    }
    $redis->del($key);
    $manager->push(new Says(['word' => "after $key"]), 'mail');
    $worker->says("after $key");
}

// A failure that cannot be recorded: the task stays where it is, and is parked when it can be.
$redis->set('failed_queue:mail', 'not a queue');
$manager->push(new Says(['word' => 'fails', 'works' => false]), 'mail');
$said = 'the key `failed_queue:mail` holds a string, where the queue needs a list';
wait_until(fn () => str_contains($worker->err(), $said), 'the worker names the failed list');
same('it is held still', 1, $redis->zCard('mail:ferry:reserved'));
$redis->del('failed_queue:mail');
wait_until(fn () => $redis->lLen('failed_queue:mail') === 1, 'the task is parked');
holds('with its bytes', 'fails', $redis->lIndex('failed_queue:mail', 0));
$manager->push(new Says(['word' => 'at last']), 'mail');
$worker->says('at last');
$worker->signal(SIGTERM);
same('the worker ends well', 0, $worker->wait());

// A worker that was never answered says why it does not start.
$redis->set('mail', 'not a queue');
$other = Child::php('exit((new Ferry\RedisTask\Worker(new Ferry\RedisTask\QueueManager("127.0.0.1", ' . $server->port . ')))->start("mail"));');
same('at the start', 1, $other->wait());
holds('at the start', 'could not start: the key `mail` holds a string', $other->err());
done();
?>
--EXPECT--
ok
