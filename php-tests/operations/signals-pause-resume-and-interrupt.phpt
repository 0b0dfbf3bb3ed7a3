--TEST--
SIGUSR2 pauses, SIGCONT goes on, SIGHUP leaves; a second signal and stop_timeout interrupt a job and burn no attempt
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
        echo "ran $data\n";
        $job->delete();
    }
}
class Endless
{
    public function fire($job, $data)
    {
        echo "begun, attempt {$job->attempts()}\n";
        try {
            while (true) {
                try {
                    usleep(1000);
                } catch (Throwable) {
                }
            }
        } finally {
            echo "finally\n";
        }
    }
}
$options = json_decode(getenv('OPTIONS') ?: '{}', true);
$worker = new Ferry\Worker($options + ['log' => 'none', 'tries' => 1]);
foreach (['ready', 'paused', 'resumed', 'released', 'stopping'] as $event) {
    $worker->on($event, function (...$told) use ($event) { echo "$event ", is_int(end($told)) ? end($told) : '', "\n"; });
}
exit($worker->run());
PHP;

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    $url = $name === 'sqlite' ? "sqlite:$config[path]" : "redis://127.0.0.1:$config[port]";
    $connection = use_broker($config);
    $start = fn (array $options = []) => Child::php($code, [], ['FERRY_URL' => $url, 'OPTIONS' => json_encode($options)]);

    // Pause and go on.
    $child = $start();
    $child->says('ready');
    $child->signal(SIGUSR2);
    $child->says('paused');
    $connection->push('Quick', 1);
    wait_until(fn () => ($connection->workers()[0]['state'] ?? '') === 'paused', 'the pause is reported');
    same("$name: a paused worker takes nothing", ['ready' => 1, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], $connection->stats());
    $child->signal(SIGCONT);
    $child->says('ran 1');
    $child->signal(SIGHUP);
    same("$name: SIGHUP", 0, $child->wait());
    same("$name: told", "ready \npaused \nresumed \nran 1\nstopping 0\n", $child->out());
    same("$name: errors", '', $child->err());

    // A second signal interrupts; nothing but `finally` holds it up.
    foreach (['again' => [], 'stop_timeout' => ['stop_timeout' => 0.2]] as $how => $options) {
        $connection->push('Endless', null);
        $connection->push('Quick', 'behind');
        $before = $connection->peek()[0];
        $child = $start($options + ['timeout' => 0]);
        $child->says('begun, attempt 1');
        $child->signal(SIGTERM);
        if ($how === 'again') {
            usleep(600_000);
            same("$name: one signal lets the job go on", true, $child->isRunning());
            $child->signal(SIGTERM);
        }
        same("$name, $how: exit code", 0, $child->wait());
        same("$name, $how: told", "ready \nbegun, attempt 1\nfinally\nreleased 0\nstopping 0\n", $child->out());
        same("$name, $how: it lies at the head as it came", $before, $connection->peek()[0]);
        same("$name, $how: both are ready", 2, $connection->stats()['ready']);
        $again = $start($options + ['timeout' => 0]);
        $again->says('begun, attempt 1');
        $again->signal(SIGKILL);
        $again->wait();
        $connection->clear();
    }
}
done();
?>
--EXPECT--
ok
