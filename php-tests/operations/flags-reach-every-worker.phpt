--TEST--
pause, resume, restartWorkers and stopWorkers reach every worker of a broker within two seconds, idle or between jobs
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

$code = <<<'PHP'
class Quick
{
    public function fire($job, $data)
    {
        echo "{$job->getQueue()} $data\n";
        usleep(1000 * $data);
        $job->delete();
    }
}
$worker = new Ferry\Worker(['log' => 'none', 'queue' => 'mail,other']);
foreach (['ready', 'paused', 'resumed'] as $event) {
    $worker->on($event, function () use ($event) { echo "$event\n"; });
}
exit($worker->run());
PHP;

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    $url = $name === 'sqlite' ? "sqlite:$config[path]" : "redis://127.0.0.1:$config[port]";
    $connection = use_broker($config);
    same("$name: no flags at first", ['restart' => 0, 'stop' => 0, 'paused' => []], $connection->flags());
    $children = [];
    for ($n = 0; $n < 3; $n++) {
        $children[] = Child::php($code, [], ['FERRY_URL' => $url]);
    }
    array_map(fn ($child) => $child->says('ready'), $children);
    wait_until(fn () => count($connection->workers()) === 3, 'all report');
    $listed = $connection->workers();
    $pids = array_column($listed, 'pid');
    sort($pids);
    $expected = array_map(fn ($child) => $child->pid, $children);
    sort($expected);
    same("$name: who works", $expected, $pids);
    same("$name: their queues", ['mail', 'other'], $listed[0]['queues']);

    // One queue is paused: the other goes on.
    $connection->pause('mail');
    $connection->pause('mail');
    same("$name: paused", ['mail'], array_keys($connection->flags()['paused']));
    usleep(1_500_000);
    $connection->push('Quick', 0, 'mail');
    $connection->push('Quick', 0, 'other');
    wait_until(fn () => $connection->size('other') === 0, 'the other queue is worked', 5);
    same("$name: the paused queue lies still", 1, $connection->stats('mail')['ready']);
    $begun = clock();
    $connection->pause('other');
    array_map(fn ($child) => $child->says('paused'), $children);
    check("$name: all paused within 2 s", clock() - $begun < 2.0, clock() - $begun);
    $begun = clock();
    $connection->resume('mail');
    $connection->resume('other');
    wait_until(fn () => $connection->size('mail') === 0, 'the resumed queue is worked', 5);
    check("$name: resumed within 2 s", clock() - $begun < 2.0, clock() - $begun);
    array_map(fn ($child) => $child->says('resumed'), $children);

    // A pause in the middle of a batch gives the others back.
    for ($n = 0; $n < 200; $n++) {
        $connection->push('Quick', 20, 'mail');
    }
    wait_until(fn () => $connection->stats('mail')['ready'] < 190, 'the batch is at work');
    $connection->pause('mail');
    wait_until(fn () => $connection->stats('mail')['reserved'] === 0, 'nothing is held any more', 5);
    check("$name: some are left", $connection->stats('mail')['ready'] > 0);
    foreach ($connection->peek('mail', null, 200) as $payload) {
        if (str_contains($payload, '"attempts"')) {
            check("$name: no attempt burnt", str_ends_with($payload, '"attempts":0}'), $payload);
        }
    }

    // Orders count up, and reach those that wait in a pause too.
    $begun = clock();
    $name === 'redis' ? $connection->restartWorkers() : $connection->stopWorkers();
    foreach ($children as $child) {
        same("$name: leaves with 0", 0, $child->wait());
        same("$name: errors", '', $child->err());
    }
    check("$name: left within 2 s", clock() - $begun < 2.5, clock() - $begun);
    same("$name: nobody is listed any more", [], $connection->workers());
    $flags = $connection->flags();
    same("$name: the order was counted", $name === 'redis' ? [1, 0] : [0, 1], [$flags['restart'], $flags['stop']]);

    // Who starts later obeys the pause, and not the order.
    $late = Child::php($code, [], ['FERRY_URL' => $url]);
    $late->says('ready');
    usleep(1_200_000);
    same("$name: the pause lasts", "ready\n", $late->out());
    $connection->resume('mail');
    $late->says('mail 20');
    $late->signal(SIGKILL);
    $late->wait();
}

// Where there is no place for flags.
$sync = new Ferry\Connection('sync:');
holds('sync says so', 'sync', thrown(fn () => $sync->pause()));
Ferry\Queue::configure(['default' => 'm', 'connections' => [
    'm' => ['type' => 'memory', 'control' => 'flags'],
    'flags' => ['type' => 'sqlite', 'url' => 'sqlite:' . temp_dir() . '/flags.sqlite'],
]]);
Ferry\Queue::connection()->pause('mail');
same('control keeps them', ['mail'], array_keys(Ferry\Queue::connection('flags')->flags()['paused']));
Ferry\Queue::configure(['connections' => ['m' => ['type' => 'memory', 'control' => 'nobody']]]);
holds('an unknown control is said', 'nobody', thrown(fn () => Ferry\Queue::connection()->pause('mail')));
done();
?>
--EXPECT--
ok
