--TEST--
Every recorded delete and release on Redis leaves the same store behind
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
Queue::configure(['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $proxy->port]]]);

/** Pops the job that the case's store holds as reserved, or held before it was moved away. */
function reserve(Redis $redis, array $case): Ferry\Job
{
    $member = $case['before']['{queues:default}:reserved']['value'][0][0] ?? $case['before']['{queues:default}']['value'][0];
    $ready = preg_replace_callback('/(\d+)}$/', fn ($found) => ($found[1] - 1) . '}', $member);
    $redis->flushAll();
    $redis->rPush('{queues:default}', $ready);
    return Queue::pop();
}

$cases = cases('redis/', 'job.delete', 'job.release');
foreach ($cases as $case) {
    $name = $case['name'];
    $shift = early_in_a_second() - RECORDED_AT;
    $job = reserve($redis, $case);
    redis_restore($redis, $case['before'], $shift);
    if (isset($case['injected'])) {
        $proxy->dropRequest('EVAL');
    }
    $call = match (true) {
        // The two delays stand in the recorded commands only.
        $name === 'redis/release-twice' => function () use ($job) {
            $job->release(5);
            $job->release(9);
        },
        $case['operation'] === 'job.delete' => fn () => $job->delete(),
        default => fn () => $job->release($case['args']['delay']),
    };
    if ($name === 'redis/delete-after-reserved-was-migrated') {
        // The store ends as recorded. That the delete came too late is said, where the original is silent.
        same("$name: thrown", Ferry\LostReservation::class, strtok(thrown($call), ':'));
    } elseif ($name === 'redis/release-after-reserved-was-migrated-DUPLICATES') {
        same("$name: thrown", Ferry\LostReservation::class, strtok(thrown($call), ':'));
    } else {
        same("$name: the answer", null, answer_of($case, $call));
        same("$name: settled once", true, $job->isDeletedOrReleased());
    }
    same_store($name, deviation($name)['after'] ?? $case['after'], redis_state($redis), $shift);
}
same('cases', 6, count($cases));
done();
?>
--EXPECT--
ok
