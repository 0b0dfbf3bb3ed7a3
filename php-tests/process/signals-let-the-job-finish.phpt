--TEST--
SIGTERM, SIGINT and SIGQUIT let the running job finish; an idle worker leaves within a second, with 0
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

$code = <<<'PHP'
class Slow
{
    public function fire($job, $data)
    {
        echo "begun\n";
        // Busy until told: a file appears.
        wait_until(fn () => (clearstatcache() ?? true) && file_exists($data), 'the file appears');
        $job->delete();
        echo "finished\n";
    }
}
class Next
{
    public function fire($job, $data)
    {
        $job->delete();
        echo "next ran\n";
    }
}
$worker = new Ferry\Worker(['log' => 'none']);
$worker->on('looping', function () { static $told = false; if (!$told) { $told = true; echo "looping\n"; } });
$worker->on('stopping', function ($code) { echo "stopping $code\n"; });
$answer = $worker->run();
echo "run answered\n";
exit($answer);
PHP;

foreach (brokers() as $name => $config) {
    $url = match ($name) {
        'memory' => 'memory:',
        'sqlite' => "sqlite:$config[path]",
        'redis' => "redis://127.0.0.1:$config[port]",
    };
    foreach (['SIGTERM', 'SIGINT', 'SIGQUIT'] as $signal) {
        // Idle.
        if ($name !== 'memory') {
            use_broker($config);
        }
        $child = Child::php($code, [], ['FERRY_URL' => $url]);
        $child->says("looping\n");
        $begun = clock();
        $child->signal(constant($signal));
        same("$name idle $signal: exit code", 0, $child->wait());
        $took = clock() - $begun;
        check("$name idle $signal: within a second", $took < 1.0, $took);
        same("$name idle $signal: said", "looping\nstopping 0\nrun answered\n", $child->out());
        if ($name === 'memory') {
            continue;
        }
        // At work.
        $connection = use_broker($config);
        $file = temp_dir() . "/go-$name-$signal";
        $connection->push('Slow', $file);
        $connection->bulk(['Next', 'Next']);
        $child = Child::php($code, [], ['FERRY_URL' => $url]);
        $child->says("begun\n");
        $child->signal(constant($signal));
        $child->signal(constant($signal));
        touch($file);
        same("$name busy $signal: exit code", 0, $child->wait());
        same("$name busy $signal: said", "looping\nbegun\nfinished\nstopping 0\nrun answered\n", $child->out());
        same("$name busy $signal: the others are ready, untouched", [2, 0, 0], array_slice(array_values($connection->stats()), 0, 3));
        holds("$name busy $signal: no attempt burnt", $name === 'redis' ? '"attempts":0}' : '"job":"Next"', $connection->peek()[0]);
    }
}

// SIGKILL loses nothing: the job comes back after retry_after.
$server = RedisServer::start();
$connection = use_broker($server->config(['retry_after' => 2]));
$connection->push('Slow', temp_dir() . '/never');
$child = Child::php($code, [], ['FERRY_URL' => $server->dsn('retry_after=2')]);
$child->says("begun\n");
$child->signal(SIGKILL);
same('killed', 128 + SIGKILL, $child->wait());
wait_until(function () use ($connection, &$job) {
    return ($job = $connection->pop()) !== null;
}, 'the job comes back');
same('its second attempt', 2, $job->attempts());
done();
?>
--EXPECT--
ok
