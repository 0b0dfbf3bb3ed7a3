--TEST--
Every recorded push of v1 and v2 to Redis leaves the same bytes behind and answers the same
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/families.php';
require __DIR__ . '/../support/proxy.php';

use Ferry\Queue;

$server = RedisServer::start();
$redis = $server->client();
$proxy = Proxy::before($server->port);
$played = 0;

foreach (old_cases('redis', 'push', 'pushRaw', 'later', 'bulk', 'size') as $name => $case) {
    $played++;
    $port = isset($case['injected']) ? $proxy->port : $server->port;
    Queue::configure(['connector' => 'Redis', 'expire' => 60, 'default' => 'default', 'host' => '127.0.0.1', 'port' => $port]);
    $shift = early_in_a_second() - RECORDED_AT;
    redis_restore($redis, $case['before'], $shift);
    $call = fn () => [Queue::class, $case['operation']](...old_arguments($name, $case));
    $answer = null;

    switch (substr($name, 3)) {
        case 'redis/later-DateTime-throws':
            same("$name: answers as later does", null, $call());
            same("$name: is stored", 1, $redis->zCard('queues:default:delayed'));
            continue 2;
        case 'redis/bulk-not-available':
            same("$name: answers as v3 does", null, $call());
            same("$name: is stored", 1, $redis->lLen('queues:default'));
            continue 2;
        case 'redis/size-not-available':
            same("$name: counts", 0, $call());
            continue 2;
        case 'redis/push-wrong-type-key-still-returns-id':
            holds($name, 'Ferry\BrokerException', thrown($call));
            continue 2;
        case 'redis/push-reply-lost':
            $proxy->dropReply('RPUSH');
            holds($name, 'Ferry\UncertainException', thrown($call));
            break;
        case 'redis/pushRaw-no-id':
            same("$name: the answer", null, $call());
            break;
        default:
            $answer = old_answer($name, $case['returns'], $call);
    }
    $state = redis_state($redis);
    same_state($name, old_deviation($name)['after'] ?? $case['after'], $state, $shift);
    if (is_string($case['returns']) && $answer !== null) {
        holds("$name: the id in the payload is the answer", "\"id\":\"$answer\"", $state[array_key_first($state)]['value'][0]);
    } elseif ($case['returns'] === null) {
        same("$name: the answer", null, $answer);
    }
}
check('the files hold the cases', $played >= 55, $played);

$server->client()->flushAll();
Queue::later(1.5, 'Job1');
$early = time();
same('a fraction is rounded up', true, current(array_values($redis->zRange('queues:default:delayed', 0, -1, true))) >= $early + 1);
done();
?>
--EXPECT--
ok
