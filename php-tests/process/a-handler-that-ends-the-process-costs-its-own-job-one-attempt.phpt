--TEST--
A handler that ends the process costs its own job one attempt, its neighbours nothing, and the exit code is 13
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

// What ends it => PHP code in the handler.
$ends = [
    'exit' => 'exit;',
    'exit with a code' => 'exit(3);',
    'die with a text' => "die('last words');",
    'exit 0' => 'exit(0);',
    'exit in finally' => 'try { throw new Exception("x"); } finally { exit; }',
    'exit in a function it calls' => 'array_map(fn ($n) => exit($n), [5]);',
    'exit in a destructor' => '$object = new class { function __destruct() { exit(4); } }; unset($object);',
    'exit in an output buffer' => 'ob_start(); echo "buffered"; exit;',
    'memory exhaustion' => '$all = []; while (true) { $all[] = str_repeat("x", 100000); }',
    'E_USER_ERROR' => 'trigger_error("asked for", E_USER_ERROR);',
    'a class declared twice' => 'eval("class Twice {} "); eval("class Twice {}");',
    'max_execution_time' => 'set_time_limit(1); while (true);',
    'a class that lacks a method' => 'eval("class Half implements Countable {}");',
];
$code = fn (array $config) => <<<'PHP'
class Ends
{
    public function fire($job, $data)
    {
        echo "begun\n";
        eval($data);
    }

    public function failed($data, $e)
    {
        echo "failed() was called\n";
    }
}
class Innocent
{
    public function fire($job, $data)
    {
        echo "innocent ran\n";
        $job->delete();
    }
}
register_shutdown_function(function () { echo "shutdown functions ran\n"; });
ini_set('memory_limit', '64M');
$worker = new Ferry\Worker(['tries' => (int) getenv('TRIES'), 'delay' => 60, 'log' => 'none', 'settle' => getenv('SETTLE')]);
$worker->on('failed', function () { echo "failed was told\n"; });
$worker->on('stopping', function () { echo "stopping was told\n"; });
exit($worker->run());
PHP;

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        // Its jobs die with the process.
        continue;
    }
    $url = $name === 'redis' ? "redis://127.0.0.1:$config[port]" : "sqlite:$config[path]";
    $connection = use_broker($config);
    $children = [];
    foreach ($ends as $what => $ending) {
        foreach ([0, 1] as $tries) {
            // Half of the ways on each broker's slower path, all of them on SQLite.
            if ($name === 'redis' && $tries === 1 && !in_array($what, ['exit', 'memory exhaustion', 'E_USER_ERROR'], true)) {
                continue;
            }
            $queue = preg_replace('/\W/', '-', $what) . $tries;
            $connection->push('Ends', $ending, $queue);
            $connection->bulk(['Innocent', 'Innocent'], 1, $queue);
            $children[] = [$what, $tries, $queue, [$connection->peek($queue, limit: 9), Child::php($code($config), [], ['FERRY_URL' => "$url?queue=$queue", 'TRIES' => "$tries", 'SETTLE' => $tries ? 'immediate' : 'pipelined'])]];
            if (count($children) % 4 === 0) {
                end($children)[3][1]->wait();
            }
        }
    }
    foreach ($children as [$what, $tries, $queue, [$before, $child]]) {
        $say = "$name, $what, tries $tries";
        same("$say: exit code", 13, $child->wait());
        $out = $child->out();
        holds("$say: it began", "begun\n", $out);
        holds("$say: PHP shut down as usual", "shutdown functions ran\n", $out);
        foreach (['failed() was called', 'failed was told', 'stopping was told', 'innocent ran'] as $not) {
            check("$say: not: $not", !str_contains($out, $not), $out);
        }
        $stats = $connection->stats($queue);
        if ($tries === 1) {
            // On SQL all queues share one failed store, read by queue.
            same("$say: buried", [2, 0, 0, 1], array_values($stats));
            $record = $connection->failed($queue)[0];
            same("$say: why", ['exited', 1, $before[0]], [$record['reason'], $record['attempts'], $record['payload']]);
        } else {
            same("$say: released, its neighbours are ready", [2, 1, 0, 0], array_values($stats));
        }
        same("$say: its neighbours are as they were", array_slice($before, 1), $connection->peek($queue, limit: 9));
    }
}
done();
?>
--EXPECT--
ok
