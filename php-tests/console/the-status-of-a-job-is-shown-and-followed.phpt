--TEST--
status shows what became of a job, follows one with a bar of its progress, and tells failures by its exit code
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$work = <<<'PHP'
class Resize
{
    public function fire($job, $data)
    {
        $job->progress(40, 'half-way');
        echo "at 40\n";
        wait_until(fn () => (clearstatcache() ?? true) && file_exists($data), 'it may go on');
        $job->result(['width' => 800]);
        $job->delete();
    }
}
class Bad
{
    public function fire($job, $data)
    {
        throw new DomainException('no picture');
    }
}
exit((new Ferry\Worker(['log' => 'none', 'tries' => 1]))->run());
PHP;

foreach (shared_brokers() as $name => $config) {
    $tracked = $config + ['track' => '1'];
    $ferry = Ferry::on($tracked);
    Ferry\Queue::configure(Ferry::url($tracked));
    $go = temp_dir() . "/go-$name";
    $id = Ferry\Queue::push('Resize', $go);
    $shown = $ferry->run(['status', $id])->well("$name: queued")->out;
    check("$name: queued", preg_match('/^State +queued$/m', $shown) && preg_match('/^Job +Resize$/m', $shown), $shown);

    $worker = Child::php($work, [], ['FERRY_URL' => Ferry::url($tracked)]);
    $worker->says('at 40');
    $follower = $ferry->start(['status', $id, '--follow', '--json', '--interval=0.05']);
    wait_until(fn () => str_contains($follower->err(), 'half-way') && str_contains($follower->err(), '40%'), 'the bar shows the progress');
    check("$name: it goes on", $follower->isRunning());
    touch($go);
    same("$name: followed to the end", 0, $follower->wait());
    $told = json_decode($follower->out(), true);
    same("$name: what it told", ['succeeded', ['width' => 800], 100], [$told['state'], $told['result'], $told['progress']]);

    $bad = Ferry\Queue::push('Bad');
    $follower = $ferry->start(['status', $bad, '--follow']);
    same("$name: a failure has a code of its own", 3, $follower->wait());
    holds("$name: and says why", 'DomainException: no picture', $follower->out());
    $ferry->run(['status', 'nobody'])->refused("$name: unknown", 1, 'there is no status of the job nobody');
    $ferry->run(['status', $bad, '--interval=0'])->refused("$name: no interval", 2, '--interval needs');
    $worker->signal(SIGTERM);
    same("$name: the worker leaves", 0, $worker->wait());
}
done();
--EXPECT--
ok
