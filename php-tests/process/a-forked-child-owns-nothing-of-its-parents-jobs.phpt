--TEST--
A child forked in a handler settles nothing, leaves run() at once, and the parent's job is not touched
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

$code = <<<'PHP'
class Forks
{
    public function fire($job, $data)
    {
        $pid = pcntl_fork();
        if ($pid === 0) {
            switch ($data) {
                case 'exits': exit(21);
                case 'kills itself': posix_kill(getmypid(), SIGKILL);
                case 'returns': return;
                case 'throws': throw new RuntimeException('in the child');
                case 'deletes': fwrite(STDERR, thrown(fn () => $job->delete()) . "\n"); exit(22);
                case 'releases': fwrite(STDERR, thrown(fn () => $job->release()) . "\n"); exit(22);
                case 'dies': trigger_error('fatal', E_USER_ERROR);
                case 'runs a worker': fwrite(STDERR, 'inner ' . (new Ferry\Worker(['queue' => 'other', 'log' => 'none', 'stop_when_empty' => true]))->run() . "\n"); exit(23);
                case 'grandchild': $inner = pcntl_fork(); if ($inner === 0) { fwrite(STDERR, thrown(fn () => $job->delete()) . "\n"); Ferry\Queue::push('Plain', 1, 'grand'); exit(0); } exit(reap($inner) + 24);
                case 'pushes': Ferry\Queue::push('Plain', 1, 'grand'); exit(0);
            }
        }
        $GLOBALS['status'] = reap($pid);
        echo "child {$GLOBALS['status']}\n";
        $job->delete();
    }
}
class Plain { public function fire($job, $data) { echo "plain\n"; $job->delete(); } }
$worker = new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true]);
if (getenv('FORK_IN') !== false) {
    $worker->on(getenv('FORK_IN'), function () {
        static $forked = false;
        if (!$forked) { $forked = true; $pid = pcntl_fork(); if ($pid > 0) { echo 'child ' . reap($pid) . "\n"; } }
    });
}
foreach (['processed', 'exception', 'failed', 'lost', 'settle_lost', 'stopping'] as $event) {
    $worker->on($event, function () use ($event) { echo "$event\n"; });
}
$parent = getmypid();
$answer = $worker->run();
if (getmypid() !== $parent) { fwrite(STDERR, "the child's run() answered $answer\n"); exit(30 + $answer); }
exit($answer);
PHP;

// What the child does => its exit code, what it says on standard error.
$ways = [
    'exits' => [21, ''],
    'kills itself' => [128 + SIGKILL, ''],
    'returns' => [30, "the child's run() answered 0\n"],
    'throws' => [30, "the child's run() answered 0\n"],
    'deletes' => [22, 'Ferry\LostReservation'],
    'releases' => [22, 'Ferry\LostReservation'],
    'dies' => [13, 'fatal'],
    'runs a worker' => [23, "inner 0\n"],
    'grandchild' => [24, 'Ferry\LostReservation'],
    'pushes' => [0, ''],
];
foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    $url = $name === 'redis' ? "redis://127.0.0.1:$config[port]" : "sqlite:$config[path]";
    foreach ($ways as $act => [$status, $says]) {
        $connection = use_broker($config);
        $connection->clear('grand');
        $connection->push('Forks', $act);
        $connection->bulk(['Plain', 'Plain']);
        $child = Child::php($code, [], ['FERRY_URL' => $url]);
        same("$name $act: exit code", 0, $child->wait());
        same("$name $act: events of the parent only", "child $status\nprocessed\nplain\nprocessed\nplain\nprocessed\nstopping\n", $child->out());
        holds("$name $act: the child says", $says, $child->err());
        same("$name $act: states", [0, 0, 0, 0], array_values($connection->stats()));
        same("$name $act: pushes of children arrive", in_array($act, ['grandchild', 'pushes'], true) ? 1 : 0, $connection->size('grand'));
    }
}

// A listener that forks: the handler does not run in the child.
foreach (['looping', 'processing', 'processed'] as $event) {
    $path = temp_dir() . "/listener-$event.sqlite";
    $connection = new Ferry\Connection("sqlite:$path");
    $connection->bulk(['Plain', 'Plain']);
    $child = Child::php($code, [], ['FERRY_URL' => "sqlite:$path", 'FORK_IN' => $event]);
    same("fork in $event: exit code", 0, $child->wait());
    // The child still serves the other listeners of the event in which it was forked.
    same("fork in $event: said once: " . json_encode($child->out()), [1, 2, $event === 'processed' ? 3 : 2, 1], array_map(fn ($word) => substr_count($child->out(), $word), ["child 30\n", "plain\n", "processed\n", "stopping\n"]));
    same("fork in $event: states", [0, 0, 0, 0], array_values($connection->stats()));
}
done();
?>
--EXPECT--
ok
