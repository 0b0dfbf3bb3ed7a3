--TEST--
Raw payloads of any bytes, and data with NUL bytes and big numbers, come back as they were
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$all = implode('', array_map('chr', range(0, 255)));
$server = RedisServer::start();
$connections = ['memory:', 'sqlite:' . temp_dir() . '/jobs.sqlite', $server->dsn()];
foreach ($connections as $dsn) {
    $kind = strtok($dsn, ':');
    $connection = new Ferry\Connection($dsn);
    foreach (["\0", "a\0b", "\r\n*3\r\n\$5\r\n", "'; DROP TABLE jobs; --", '{"job":"J","data":"' . "\xff" . '"}', $kind === 'sqlite' ? 'sqlite' : $all, str_repeat('x', 1 << 20)] as $raw) {
        $answer = $connection->pushRaw($raw, 'raw');
        check("$kind: answer", $kind === 'sqlite' ? is_int($answer) : $answer === null, $answer);
        same("$kind: peek", $raw, $connection->peek('raw')[0]);
        $job = $connection->pop('raw');
        same("$kind: pop", $raw, $job?->getRawBody());
        $job?->delete();
        same("$kind: deleted", 0, $connection->size('raw'));
    }
    foreach (["a\0b", ['k' . "\0" => "\0"], PHP_INT_MAX, PHP_INT_MIN, 0.1, [], '', null, false, '0', 'é/😀'] as $data) {
        $connection->push('Job1', $data, 'data');
        $job = $connection->pop('data');
        same("$kind: data", $data, $job->payload('data'));
        $job->delete();
    }
}
done();
?>
--EXPECT--
ok
