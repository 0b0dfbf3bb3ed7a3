--TEST--
Exit codes tell how a worker ended: 0, 1 unreachable, 12 memory, 13 a handler, 14 a stubborn job, 15 an outage
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$code = <<<'PHP'
class Keeps { public function fire($job, $data) { static $kept = []; $kept[] = str_repeat('x', 4 << 20); $job->delete(); } }
class Stubborn { public function fire($job, $data) { echo "begun\n"; [$here, $there] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($here, 1); } }
$options = json_decode(getenv('OPTIONS'), true);
$worker = new Ferry\Worker($options + ['log' => 'none']);
$worker->on('looping', function () { static $told = false; if (!$told) { $told = true; echo "looping\n"; } });
exit($worker->run());
PHP;
$run = fn (string $url, array $options) => Child::php($code, [], ['FERRY_URL' => $url, 'OPTIONS' => json_encode($options)]);
$server = RedisServer::start(['--requirepass', 'secret']);
$dsn = "redis://:secret@127.0.0.1:{$server->port}";
$connection = new Ferry\Connection($dsn);

same('0: nothing to do', 0, $run($dsn, ['stop_when_empty' => true])->wait());

// 1: not reached, a wrong password, no Redis at all.
foreach (['redis://:hunter2@127.0.0.1:1' => 'refused', "redis://:hunter2@127.0.0.1:{$server->port}" => 'WRONGPASS', "redis://127.0.0.1:{$server->port}" => 'NOAUTH', 'redis+unix:///no/such.sock' => 'such.sock'] as $url => $why) {
    $child = $run($url, []);
    same("1: $why", 1, $child->wait());
    holds("1: $why", 'could not start', $child->err());
    check("$why: no secret", !str_contains($child->err() . $child->out(), 'hunter2'), $child->err());
}

$connection->bulk(array_fill(0, 30, 'Keeps'));
same('12: memory', 12, $run($dsn, ['memory' => 40])->wait());
check('it worked some jobs first and gave the others back', $connection->stats()['ready'] > 10 && $connection->stats()['ready'] < 29 && $connection->stats()['reserved'] === 0, $connection->stats());
$connection->clear();

$connection->push('Stubborn');
$child = $run($dsn, ['timeout' => 0.2, 'grace' => 0.4, 'tries' => 1]);
same('14: a job that does not leave', 14, $child->wait());
same('14: it is settled', [0, 0, 0, 1], array_values($connection->stats()));
same('14: why', 'timeout', $connection->failed()[0]['reason']);

$health = temp_dir() . '/health';
$child = $run($dsn, ['max_outage' => 0.5, 'health_file' => $health]);
// It must have had an answer once, so that losing the server is an outage and not a failed start.
wait_until(fn () => (clearstatcache() ?? true) && file_exists($health), 'the worker has had an answer');
$server->stop();
same('15: an outage', 15, $child->wait());
holds('15: it says so', 'Redis', $child->err());
done();
?>
--EXPECT--
ok
