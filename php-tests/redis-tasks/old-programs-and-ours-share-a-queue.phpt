--TEST--
Old producers and old workers of plain Redis tasks beside ours: 2,000 tasks, pushed and worked by both, each done once
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\RedisTask\{QueueManager, Task, Worker};

class Count extends Task
{
    public function handle(): bool
    {
        $redis = new Redis();
        $redis->connect('127.0.0.1', (int) getenv('COUNT_PORT'));
        $redis->hIncrBy('done', (string) $this->data['n'], 1);
        return true;
    }
}

$server = RedisServer::start();
putenv("COUNT_PORT={$server->port}");
$redis = new Redis();
$redis->connect('127.0.0.1', $server->port);
$manager = new QueueManager('127.0.0.1', $server->port);

// An old producer, with the recorded command; a producer of ours.
for ($n = 0; $n < 1000; $n++) {
    $body = ['id' => uniqid('task_', true), 'class' => 'Count', 'data' => ['n' => $n], 'attempts' => 0, 'max_attempts' => 3, 'delay' => 0, 'created_at' => time()];
    $redis->lPush('mixed', json_encode($body, JSON_UNESCAPED_UNICODE));
    $manager->push(new Count(['n' => 1000 + $n]), 'mixed');
}

// An old worker takes 500 with the recorded commands; a worker of ours the rest.
for ($taken = 0; $taken < 500; $taken++) {
    foreach ($redis->zRangeByScore('delayed_queue:mixed', '0', (string) time()) as $due) {
        $redis->multi(Redis::PIPELINE)->lPush('mixed', $due)->zRem('delayed_queue:mixed', $due)->exec();
    }
    [, $body] = $redis->brPop(['mixed'], 5);
    $task = json_decode($body, true);
    $redis->hIncrBy('done', (string) $task['data']['n'], 1);
}
same('the worker', 0, (new Worker($manager, ['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]))->start('mixed'));
$done = $redis->hGetAll('done');
same('each once', [2000, '1', '1'], [count($done), min($done), max($done)]);
same('nothing is left', [0, []], [$redis->lLen('mixed'), $redis->zRange('mixed:ferry:reserved', 0, -1)]);
done();
?>
--EXPECT--
ok
