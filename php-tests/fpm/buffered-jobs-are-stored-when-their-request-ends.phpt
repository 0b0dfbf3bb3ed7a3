--TEST--
php-fpm: the jobs that a request buffered are stored at its end in one command, and one that fails leaves nothing to the next request of its child
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

$server = RedisServer::start();
$redis = $server->client();
$site = FpmSite::start([
    'push.php' => 'for ($n = 0; $n < 5; $n++) { Ferry\Queue::push("Job1", [$_GET["request"], $n]); } echo getmypid();',
    'fatal.php' => 'Ferry\Queue::push("Job1", "fatal"); undefined_function();',
], ['www' => ['pm.max_children' => '1', 'php_admin_value[display_errors]' => '0', 'php_admin_value[log_errors]' => '1', 'catch_workers_output' => 'yes']], env: ['FERRY_URL' => $server->dsn('push_buffer=100')]);
$data = fn () => array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:default}', 0, -1));

$pids = [];
for ($request = 0; $request < 20; $request++) {
    $pids[] = $site->get("/www/push.php?request=$request");
}
same('one child', 1, count(array_unique($pids)));
wait_until(fn () => count($data()) === 100, 'all jobs are stored');
$expected = array_merge(...array_map(fn ($request) => array_map(fn ($n) => [(string) $request, $n], range(0, 4)), range(0, 19)));
same('in order', $expected, $data());
check('one command a request', str_starts_with($redis->info('commandstats')['cmdstat_rpush'], 'calls=20,'), $redis->info('commandstats')['cmdstat_rpush']);

$redis->flushAll();
same('a fatal error', 500, http_get($site->socket(), '/www/fatal.php')[0]);
wait_until(fn () => $data() === ['fatal'], 'its job is stored all the same');

// A server that refuses for a while: those jobs are lost, as the log says, and the next request has its own only.
$redis->flushAll();
$redis->set('{queues:default}', 'text');
$site->get('/www/push.php?request=lost');
wait_until(fn () => str_contains($site->log(), '5 of 5 buffered jobs of `default` were not stored'), 'the loss is logged');
$redis->del('{queues:default}');
$site->get('/www/push.php?request=next');
wait_until(fn () => count($data()) === 5, 'the jobs of the next request are stored');
same('and no others', ['next'], array_values(array_unique(array_column($data(), 0))));
done();
?>
--EXPECT--
ok
