--TEST--
Every recorded pop from Redis hands out the same job and leaves the same store behind
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

/** Breaks the link as it was broken for the recording. We send one request, so where in the sequence it broke does not matter. */
function inject(array $injected, Proxy $proxy, Redis $redis, int $shift): void
{
    foreach ($injected['commands'] ?? [] as $command) {
        $redis->rawCommand(...array_map(fn ($word) => (string) moved($word, $shift), $command));
    }
    match (true) {
        !isset($injected['fault']) => null,
        str_starts_with($injected['fault'], 'server executed') => $proxy->dropReply('EVAL'),
        default => $proxy->dropRequest('EVAL'),
    };
}

$cases = cases('redis/', 'pop');
foreach ($cases as $case) {
    $name = $case['name'];
    $config = $case['args']['config'] ?? [];
    $port = isset($case['injected'][0]['fault']) ? $proxy->port : $server->port;
    // `null` means "not given"; what the recording built by hand is `never` with us.
    if (array_key_exists('retry_after', $config)) {
        $config['retry_after'] ??= 'never';
    }
    Queue::configure(['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $port] + $config]]);
    Queue::size();
    $shift = early_in_a_second() - RECORDED_AT;
    redis_restore($redis, $case['before'], $shift);
    inject($case['injected'][0] ?? [], $proxy, $redis, $shift);
    $job = answer_of($case, fn () => Queue::pop($case['args']['queue'] ?? null));
    $state = redis_state($redis);
    same_store($name, deviation($name)['after'] ?? $case['after'], $state, $shift);
    $expected = expected_answer($case);
    if (is_array($expected) && !throws($case)) {
        popped_as_recorded($name, $expected, $job, 'redis', $config['queue'] ?? 'default');
    } else {
        same("$name: nothing is handed out", null, $job);
    }
}
check('the file holds the cases', count($cases) >= 27, count($cases));
done();
?>
--EXPECT--
ok
