--TEST--
Jobs are pushed and worked while the status store is unreachable; each reports that once, and statuses are kept again afterwards
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';
require_once __DIR__ . '/../support/child.php';

$server = RedisServer::start();
$port = $server->config()['port'];
$path = temp_dir() . '/jobs.sqlite';
$log = temp_dir() . '/php.log';
$config = ['default' => 'jobs', 'connections' => [
    'jobs' => ['type' => 'sqlite', 'path' => $path, 'track' => true, 'control' => 'keeper'],
    'keeper' => ['type' => 'redis', 'port' => 1],
]];
ini_set('error_log', $log);
Ferry\Queue::configure($config);
$connection = Ferry\Queue::connection();
$begun = clock();
for ($n = 0; $n < 50; $n++) {
    $connection->push('Quick', $n);
}
check('pushing goes on', clock() - $begun < 5, clock() - $begun);
same('all are there', 50, $connection->size());
same('said once', 1, substr_count((string) file_get_contents($log), 'the status of jobs of `jobs` cannot be kept'));

$code = 'Ferry\Queue::configure(' . var_export($config, true) . ');' . <<<'PHP'

class Quick
{
    public function fire($job, $data)
    {
        $job->progress(50);
        $job->result([1]);
        $job->delete();
    }
}
exit((new Ferry\Worker(['stop_when_empty' => true]))->run());
PHP;
$worker = Child::php($code);
same('the worker goes on', 0, $worker->wait());
same('all are done', 0, $connection->size());
same('said once by the worker', 1, substr_count($worker->err(), 'the status of jobs cannot be written'));

// With the status store where the status is kept.
$config['connections']['keeper']['port'] = $port;
Ferry\Queue::configure($config);
$connection = Ferry\Queue::connection();
// The producer left it alone for a second or two.
$id = null;
wait_until(function () use ($connection, &$id) { return $connection->status($id = $connection->push('Quick', 1)) !== null; }, 'statuses are kept again', 10);
same('queued', 'queued', $connection->status($id)->state);
same('worked', 0, Child::php(strtr($code, ["'port' => 1," => "'port' => $port,"]))->wait());
same('succeeded', 'succeeded', $connection->status($id)->state);

// A push that fails for sure leaves nothing behind.
$small = ['type' => 'sqlite', 'path' => temp_dir() . '/none/jobs.sqlite', 'track' => true, 'control' => 'keeper'];
Ferry\Queue::configure(['default' => 'small', 'connections' => ['small' => $small, 'keeper' => $server->config()]]);
$redis = $server->client();
$before = count($redis->keys('{ferry}:status-log:*'));
holds('refused', 'does not exist', thrown(fn () => Ferry\Queue::push('Quick')));
same('taken back', $before, count($redis->keys('{ferry}:status-log:*')));
done();
?>
--EXPECT--
ok
