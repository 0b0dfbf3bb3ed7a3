--TEST--
Children and grandchildren of handlers run on beside the worker and after it: they settle nothing, renew nothing, and their pushes arrive
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

$code = <<<'PHP'
pcntl_signal(SIGCHLD, SIG_IGN);

/** Pushes now and when the test says so, in a process that nobody waits for. */
function runs_on(string $who): void
{
    pcntl_alarm(40);
    for ($n = 0; $n < 20; $n++) {
        Ferry\Queue::push('Plain', "$who-$n", 'pushed');
    }
    wait_until(fn () => file_exists(getenv('GO')), 'the worker has ended', 30);
    Ferry\Queue::push('Plain', "$who-late", 'pushed');
    posix_kill(getmypid(), SIGKILL);
}

class Forks
{
    public function fire($job, $data)
    {
        if (pcntl_fork() === 0) {
            if (pcntl_fork() === 0) {
                runs_on("grand$data");
            }
            runs_on("child$data");
        }
        echo "did $data\n";
        $data === 'hold' && wait_until(fn () => false, 'it is killed', 30);
        $job->delete();
    }
}
class Plain
{
    public function fire($job, $data)
    {
        echo "plain $data\n";
        $job->delete();
    }
}
$worker = new Ferry\Worker(['log' => 'none', 'settle' => getenv('SETTLE'), 'stop_when_empty' => getenv('STAY') === false]);
foreach (['exception', 'failed', 'lost', 'settle_lost'] as $event) {
    $worker->on($event, function () use ($event) { echo "$event\n"; });
}
exit($worker->run());
PHP;

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    $url = $name === 'redis' ? "redis://127.0.0.1:$config[port]?retry_after=3" : "sqlite:$config[path]?retry_after=3";
    foreach (['pipelined', 'immediate'] as $settle) {
        $what = "$name $settle";
        $connection = use_broker($config);
        $connection->clear('pushed');
        $expected = [];
        for ($n = 0; $n < 6; $n++) {
            $connection->push('Forks', $n);
            $connection->bulk(['Plain', 'Plain'], $n);
            array_push($expected, "did $n", "plain $n", "plain $n");
        }
        $go = temp_dir() . '/go-' . bin2hex(random_bytes(3));
        $env = ['FERRY_URL' => $url, 'SETTLE' => $settle, 'GO' => $go];
        $child = Child::php($code, [], $env);
        same("$what: exit code", 0, $child->wait());
        same("$what: every job once, and nothing to report", $expected, explode("\n", trim($child->out())));
        same("$what: nothing is left", [0, 0, 0, 0], array_values($connection->stats()));
        touch($go);
        wait_until(fn () => $connection->size('pushed') >= 12 * 21, "$what: all pushes of children arrive");
        $data = array_map(fn ($body) => json_decode($body)->data, $connection->peek('pushed', limit: 1000));
        same("$what: each once", [12 * 21, 12 * 21], [count($data), count(array_unique($data))]);
        same("$what: children said nothing", '', $child->err());
        same("$what: and changed nothing", [0, 0, 0, 0], array_values($connection->stats()));
    }

    // The worker is killed, its children are not: they do not keep its job from the next worker.
    $connection = use_broker($config);
    $connection->push('Forks', 'hold');
    $go = temp_dir() . '/go-' . bin2hex(random_bytes(3));
    $env = ['FERRY_URL' => $url, 'SETTLE' => 'pipelined', 'GO' => $go, 'STAY' => '1'];
    $killed = Child::php($code, [], $env);
    $killed->says('did hold');
    $connection->clear('pushed');
    $killed->signal(SIGKILL);
    $killed->wait();
    $start = clock();
    $next = Child::php($code, [], $env);
    $next->says('did hold', 10);
    check("$name: the job is back within retry_after", clock() - $start < 5.5, clock() - $start);
    $next->signal(SIGKILL);
    $next->wait();
    touch($go);
}
done();
?>
--EXPECT--
ok
