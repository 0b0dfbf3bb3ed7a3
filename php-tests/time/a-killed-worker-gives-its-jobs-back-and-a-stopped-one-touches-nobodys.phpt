--TEST--
A killed worker's job is back within retry_after; one that was stopped too long has lost its job, says so and touches nothing
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

$worker = <<<'PHP'
class Held
{
    public function fire($job, $data)
    {
        echo "began {$job->attempts()}\n";
        while (!file_exists($data)) {
            usleep(2000);
        }
        echo $job->isLost() ? "lost\n" : "ours\n";
        $job->delete();
    }
}
$worker = new Ferry\Worker(['log' => 'none', 'settle' => 'immediate', 'max_jobs' => 1]);
$worker->on('lost', function () { echo "told lost\n"; });
exit($worker->run());
PHP;

$server = RedisServer::start();
foreach ([$server->dsn('retry_after=2'), 'sqlite:' . temp_dir() . '/jobs.sqlite?retry_after=2'] as $n => $url) {
    Queue::configure($url);
    $go = temp_dir() . "/go-$n";
    $env = ['FERRY_URL' => $url];

    Queue::push('Held', $go);
    $killed = Child::php($worker, [], $env);
    $killed->says('began 1');
    $killed->signal(SIGKILL);
    $start = clock();
    $stopped = Child::php($worker, [], $env);
    $stopped->says('began 2');
    check('within retry_after', clock() - $start < 3.5, clock() - $start);

    $stopped->signal(SIGSTOP);
    $third = Child::php($worker, [], $env);
    $third->says('began 3');
    $stopped->signal(SIGCONT);
    // The keeper of the stopped one asks the broker when it wakes, and the handler sees it.
    wait_until(fn () => true, 'a moment has passed');
    usleep(1_500_000);
    touch($go);
    same('the stopped one ends well', 0, $stopped->wait());
    holds('it knows', 'lost', $stopped->out());
    holds('it tells', 'told lost', $stopped->out());
    same('the third ends well', 0, $third->wait());
    holds('the third kept its job', 'ours', $third->out());
    same('nothing is left', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());
}
done();
?>
--EXPECT--
ok
