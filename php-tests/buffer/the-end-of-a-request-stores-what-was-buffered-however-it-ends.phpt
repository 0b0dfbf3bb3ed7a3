--TEST--
push_buffer: a request stores its jobs after its shutdown functions and destructors, also after exit() and a fatal error; a killed one loses what it buffered and nothing else
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start();
$redis = $server->client();
$env = ['FERRY_URL' => $server->dsn('push_buffer=100')];
$ways = [
    'returns' => [0, ''],
    'exits' => [3, 'exit(3);'],
    'throws' => [255, 'throw new Exception("uncaught");'],
    'calls what is not there' => [255, 'undefined_function();'],
    'triggers a fatal error' => [255, 'trigger_error("asked for", E_USER_ERROR);'],
    'runs out of memory' => [255, 'ini_set("memory_limit", "24M"); $all = []; while (true) { $all[] = str_repeat("x", 1 << 20); }'],
    'runs out of time' => [255, 'set_time_limit(1); while (true);'],
    'is ended inside a push' => [4, 'Ferry\Queue::push("Job1", new class implements JsonSerializable { function jsonSerialize(): mixed { exit(4); } });'],
    'dies inside a push' => [255, 'Ferry\Queue::push("Job1", new class implements JsonSerializable { function jsonSerialize(): mixed { trigger_error("asked for", E_USER_ERROR); } });'],
];
foreach ($ways as $how => [$code, $end]) {
    $redis->flushAll();
    $child = Child::php(<<<'PHP'
        final class Last { function __destruct() { Ferry\Queue::push('Job1', 'destructor'); } }
        register_shutdown_function(fn () => Ferry\Queue::push('Job1', 'shutdown'));
        $last = new Last();
        Ferry\Queue::push('Job1', 'first');
        Ferry\Queue::later(600, 'Job1', 'delayed');

        PHP . $end, [], $env);
    same("$how: exit code", $code, $child->wait());
    $data = array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:default}', 0, -1));
    // After a fatal error PHP calls no destructors; an exception that nobody catches is none.
    $isFatal = $code === 255 && !in_array($how, ['throws', 'calls what is not there'], true);
    $expected = $isFatal ? ['first', 'shutdown'] : ['first', 'shutdown', 'destructor'];
    same("$how: ready jobs", $expected, array_values(array_intersect($data, ['first', 'shutdown', 'destructor'])));
    same("$how: delayed jobs", 1, $redis->zCard('{queues:default}:delayed'));
    check("$how: no warning", !str_contains($child->err(), 'ferry:'), $child->err());
}

// The documented window: what was not flushed when the process was killed.
$redis->flushAll();
$child = Child::php(<<<'PHP'
    Ferry\Queue::push('Job1', 'flushed');
    Ferry\Queue::flush();
    Ferry\Queue::push('Job1', 'lost');
    echo 'pushed';
    sleep(60);
    PHP, [], $env);
$child->says('pushed');
$child->signal(SIGKILL);
same('killed', 128 + SIGKILL, $child->wait());
same('what was flushed is there', ['flushed'], array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:default}', 0, -1)));

// A session handler that PHP runs after our part of the end of a request stores at once.
$redis->flushAll();
$child = Child::php(<<<'PHP'
    final class Handler implements SessionHandlerInterface {
        function open(string $path, string $name): bool { return true; }
        function close(): bool { return true; }
        function read(string $id): string|false { return ''; }
        function write(string $id, string $data): bool { Ferry\Queue::push('Job1', 'session'); return true; }
        function destroy(string $id): bool { return true; }
        function gc(int $max): int|false { return 0; }
    }
    session_set_save_handler(new Handler(), false);
    session_start();
    $_SESSION['x'] = 1;
    Ferry\Queue::push('Job1', 'first');
    PHP, ['-d', 'session.use_cookies=0'], $env);
same('with a session', 0, $child->wait());
same('the session handler\'s job too', ['first', 'session'], array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:default}', 0, -1)));

// One write, however many queues.
$redis->flushAll();
$redis->rawCommand('CONFIG', 'RESETSTAT');
$child = Child::php('for ($n = 0; $n < 30; $n++) { Ferry\Queue::push("Job1", $n, "q" . $n % 3); }', [], $env);
$child->wait();
$stats = $redis->info('commandstats');
same('one RPUSH a queue', '3', preg_match('/calls=(\d+)/', $stats['cmdstat_rpush'], $found) ? $found[1] : 'none');
same('in order', range(0, 27, 3), array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:q0}', 0, -1)));
done();
?>
--EXPECT--
ok
