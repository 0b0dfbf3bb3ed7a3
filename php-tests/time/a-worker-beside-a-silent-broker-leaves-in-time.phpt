--TEST--
A worker that is asked to stop beside a Redis that fell silent leaves within ten seconds, idle or with a deletion outstanding
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';
require __DIR__ . '/../support/proxy.php';

use Ferry\Queue;

$code = <<<'PHP'
class Waits
{
    public function fire($job, $data)
    {
        echo "running\n";
        wait_until(fn () => file_exists(getenv('GO')), 'the test says go', 60);
        $job->delete();
        echo "deleted\n";
    }
}
$worker = new Ferry\Worker(['log' => 'none']);
$worker->on('looping', fn () => print('.'));
exit($worker->run());
PHP;

/** How long a worker takes that is asked to stop now, and its exit code. */
function leave(Child $child): array
{
    $begun = clock();
    $child->signal(SIGTERM);
    $ended = $child->wait(60);
    return [clock() - $begun, $ended];
}

$server = RedisServer::start();
foreach (['idle', 'busy'] as $what) {
    $proxy = Proxy::before($server->port);
    $go = temp_dir() . "/go-$what";
    $dsn = "redis://127.0.0.1:{$proxy->port}?queue=$what";
    Queue::configure($dsn);
    $child = Child::php($code, [], ['FERRY_URL' => $dsn, 'GO' => $go]);
    if ($what === 'busy') {
        Queue::push('Waits');
        $child->says('running');
        $proxy->silence('up', 'down');
        touch($go);
        $child->says('deleted');
    } else {
        $child->says('..');
        $proxy->silence('up', 'down');
        // It waits for an answer when it loops no more.
        [$loops, $since] = [0, clock()];
        wait_until(function () use ($child, &$loops, &$since) {
            $now = strlen($child->out());
            [$loops, $since] = $now === $loops ? [$loops, $since] : [$now, clock()];
            return clock() - $since > 1;
        }, 'the worker waits for an answer');
    }
    [$took, $ended] = leave($child);
    check("$what: within ten seconds, when supervisors kill", $took < 10, sprintf('%.1f s', $took));
    same("$what: the exit code", 0, $ended);
}
done();
?>
--EXPECT--
ok
