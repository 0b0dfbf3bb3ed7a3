--TEST--
The worker behind queue:work is Ferry's loop on connections of Ferry: it ends on SIGTERM and queue:restart with 0, and reports an exit code
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php

require __DIR__ . '/../support/redis.php';

$redis = RedisServer::start();
$begin = sprintf('require %s;', var_export(__DIR__ . '/../support/think.php', true)) . <<<'PHP'

    $ferry = ['type' => 'ferry', 'queue' => 'default', 'host' => '127.0.0.1', 'port' => (int) getenv('PORT')];
    $app = think_app(['mail' => $ferry, 'own' => ['type' => 'redis'] + $ferry, 'gone' => ['port' => 1] + $ferry]);
    class Say { public function fire(think\queue\Job $job, $data) { echo "$data\n"; $job->delete(); if ($data === 'restart') $GLOBALS['app']->cache->set('think:queue:restart', time() + 60); } }
    $app->event->listen(think\queue\event\WorkerStopping::class, function ($event) { echo "stopping {$event->status}\n"; });
    $work = fn (string $connection, ...$more) => $app->make(think\queue\Worker::class)->daemon($connection, 'default', ...$more);
    PHP;
$child = fn (string $code) => Child::php("$begin\n$code", [], ['PORT' => (string) $redis->port]);

$worker = $child('$app->queue->connection("mail")->push("Say", "hello"); $work("mail");');
$worker->says("hello\n");
$worker->signal(SIGTERM);
same('SIGTERM', [0, "hello\nstopping 0\n", ''], [$worker->wait(), $worker->out(), $worker->err()]);

$worker = $child('$app->queue->connection("mail")->push("Say", "restart"); $work("mail");');
same('queue:restart', [0, "restart\nstopping 0\n", ''], [$worker->wait(), $worker->out(), $worker->err()]);

$worker = $child('$work("gone");');
same('a broker that cannot be reached', 1, $worker->wait());
holds('why', 'could not start', $worker->err());

$worker = $child('$app->queue->connection("mail")->push("Say", "big"); $work("mail", memory: 1);');
same('memory', 12, $worker->wait());

$worker = $child('$app->make(think\\queue\\Worker::class)->runNextJob("mial", "default", 0, 0);');
same('a misspelt connection', 0, $worker->wait());
holds('is named', 'config/queue.php has no connection `mial`', $worker->err());

if (!getenv('FERRY_THINK_AUTOLOAD')) {
    same('other connections', "think-queue's own loop\n", (fn ($child) => [$child->wait(), $child->out()][1])($child('$work("own");')));
}
done();
--EXPECT--
ok
