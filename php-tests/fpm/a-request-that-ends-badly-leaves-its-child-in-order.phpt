--TEST--
php-fpm: after a request that exits, dies or runs out of time around a push, the child's next request works and reads its own answers
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

// The server refuses what goes to `bad`: an answer that belongs to another request is seen at once.
$next = <<<'PHP'
$queue = $_GET['queue'];
for ($n = 0; $n < 3; $n++) {
    try {
        Ferry\Queue::push('Job1', $n, 'bad');
        exit('a push was not refused');
    } catch (Ferry\Exception $e) {
        str_contains($e->getMessage(), 'WRONGTYPE') || exit('refused for another reason: ' . $e->getMessage());
    }
    strlen(Ferry\Queue::push('Job1', $n, $queue)) === 32 || exit('a strange id');
    Ferry\Queue::size($queue) === $n + 1 || exit('a strange size: ' . Ferry\Queue::size($queue));
}
echo getmypid();
PHP;
$speaker = 'new class implements JsonSerializable { function jsonSerialize(): mixed { %s } }';
// How it ends => the code, its answer, how many jobs it stores, whether the child survives.
$ways = [
    'exits' => ['Ferry\Queue::push("Job1", 1, $queue); exit("out");', 200, [1, 1], true],
    'exits inside push' => ['Ferry\Queue::push("Job1", ' . sprintf($speaker, 'exit("out");') . ', $queue); echo "not reached";', 200, [0, 0], true],
    'pushes inside push, then exits' => ['Ferry\Queue::push("Job1", ' . sprintf($speaker, 'Ferry\Queue::push("Job1", 1, "pushes-inside-push-then-exits"); exit;') . ', $queue);', 200, [1, 1], true],
    'pushes while it shuts down' => ['register_shutdown_function(fn () => Ferry\Queue::push("Job1", 2, $queue)); Ferry\Queue::push("Job1", 1, $queue); exit;', 200, [2, 2], true],
    'pushes in a destructor after exit' => ['$GLOBALS["last"] = new class { function __destruct() { Ferry\Queue::push("Job1", 1, "pushes-in-a-destructor-after-exit"); } }; exit;', 200, [1, 1], true],
    'pushes after its answer' => ['echo "out"; fastcgi_finish_request(); Ferry\Queue::push("Job1", 1, $queue);', 200, [1, 1], true],
    'calls what is not there' => ['Ferry\Queue::push("Job1", 1, $queue); undefined_function();', 500, [1, 1], true],
    'dies inside push' => ['Ferry\Queue::push("Job1", ' . sprintf($speaker, 'trigger_error("asked for", E_USER_ERROR);') . ', $queue);', 500, [0, 0], true],
    'runs out of memory' => ['Ferry\Queue::push("Job1", 1, $queue); $all = []; while (true) { $all[] = str_repeat("x", 1 << 20); }', 500, [1, 1], true],
    'runs out of memory inside push' => ['Ferry\Queue::push("Job1", ' . sprintf($speaker, '$all = []; while (true) { $all[] = str_repeat("x", 1 << 20); }') . ', $queue);', 500, [0, 0], true],
    'runs out of time while it pushes' => ['set_time_limit(1); while (true) { Ferry\Queue::push("Job1", 1, $queue); for ($i = 0; $i < 10000; $i++); }', 500, [50, PHP_INT_MAX], true],
    'gives up waiting for the answer' => ['Ferry\Queue::connection()->size("warm"); Ferry\Queue::push("Job1", 1, $queue);', 500, [0, 1], true],
    'is ended by the master in a push' => ['Ferry\Queue::configure(getenv("PATIENT")); Ferry\Queue::push("Job1", 1, $queue);', 502, [0, 1], false],
];
$scripts = ['next.php' => $next];
foreach ($ways as $how => [$code]) {
    $scripts[name($how) . '.php'] = 'ini_set("memory_limit", "32M"); $queue = $_GET["queue"]; ' . $code;
}

function name(string $how): string
{
    return preg_replace('/\W+/', '-', $how);
}

$server = RedisServer::start();
$redis = $server->client();
$redis->set('{queues:bad}', 'no list');
$one = ['pm.max_children' => '1', 'php_admin_value[display_errors]' => '0'];
$site = FpmSite::start(
    $scripts,
    ['www' => $one, 'short' => $one + ['request_terminate_timeout' => '1s'], 'retiring' => $one + ['pm.max_requests' => '5']],
    env: ['FERRY_URL' => $server->dsn('read_timeout=0.3'), 'PATIENT' => $server->dsn('read_timeout=20')],
);
foreach ($ways as $how => [, $status, [$least, $most], $survives]) {
    $queue = name($how);
    $pool = $survives ? 'www' : 'short';
    $before = $site->get("/$pool/next.php?queue=before-$queue");
    check("$how: it works before", (int) $before > 0, $before);
    $waits = in_array($how, ['gives up waiting for the answer', 'is ended by the master in a push'], true);
    if ($waits) {
        $redis->rawCommand('CLIENT', 'PAUSE', '20000', 'WRITE');
    }
    $answer = http_get($site->socket(), "/$pool/$queue.php?queue=$queue");
    if ($waits) {
        $redis->rawCommand('CLIENT', 'UNPAUSE');
    }
    same("$how: its answer", $status, $answer[0]);
    check("$how: it ended there", !str_contains($answer[1], 'not reached'), $answer[1]);
    $after = $site->get("/$pool/next.php?queue=after-$queue");
    check("$how: the next request works", (int) $after > 0, $after);
    same("$how: by the same child", $survives, $before === $after);
    wait_until(fn () => $redis->lLen("{queues:$queue}") >= $least, "$how: its jobs are stored");
    $stored = $redis->lLen("{queues:$queue}");
    check("$how: its jobs are stored", $stored >= $least && $stored <= $most, $stored);
    same("$how: each with an id of its own", $stored, count(array_unique(stored_ids($redis, $queue))));
    same("$how: the next one's are its own", [0, 1, 2], stored_data($redis, "after-$queue"));
}

// A child that has served its number of requests closes what it opened.
$before = connections_taken($redis);
$open = links($redis);
$pids = [];
for ($n = 0; $n < 20; $n++) {
    $pids[] = $site->get("/retiring/next.php?queue=retiring-$n");
}
same('children retired', [5, 5, 5, 5], array_values(array_count_values($pids)));
same('each opened one link for push and one for size', 8, connections_taken($redis) - $before);
wait_until(fn () => links($redis) === $open, 'the links of retired children are closed');
done();
?>
--EXPECT--
ok
