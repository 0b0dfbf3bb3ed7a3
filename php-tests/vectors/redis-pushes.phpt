--TEST--
Every recorded push to Redis leaves the same bytes behind and answers the same
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';
require __DIR__ . '/../support/proxy.php';
require __DIR__ . '/../support/vectors.php';

use Ferry\Queue;

$server = RedisServer::start();
$redis = $server->client();
$proxy = Proxy::before($server->port);

$cases = cases('redis/', 'push', 'pushOn', 'pushRaw', 'bulk', 'later', 'laterOn', 'size');
foreach ($cases as $case) {
    $name = $case['name'];
    if ($name === 'redis/later-same-payload-twice-collapses') {
        // A raw delayed push: PHP callers have no word for it.
        continue;
    }
    $port = isset($case['injected']) ? $proxy->port : $server->port;
    Queue::configure(['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $port]]]);
    $shift = early_in_a_second() - RECORDED_AT;
    redis_restore($redis, $case['before'], $shift);
    if (isset($case['injected'])) {
        $proxy->dropReply('RPUSH');
    }
    $call = [Queue::class, $case['operation']];
    $answer = answer_of($case, fn () => $call(...arguments($case)));
    $state = redis_state($redis);
    same_store($name, deviation($name)['after'] ?? $case['after'], $state, $shift);
    $expected = expected_answer($case);
    if (is_string($expected)) {
        same("$name: the id in the payload is the answer", ids_in($state), [$answer]);
    } elseif (!throws($case)) {
        same("$name: the answer", $expected, $answer);
    }
}
check('the file holds the cases', count($cases) >= 60, count($cases));
done();
?>
--EXPECT--
ok
