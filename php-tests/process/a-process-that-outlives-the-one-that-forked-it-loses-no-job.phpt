--TEST--
Processes whose parent has ended since it forked them store their jobs where others find them, whoever used the connection first
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

// Each of the three generations pushes where `1` stands, before it forks the next. Their parents have ended when the last two push.
const ORDERS = [[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]];
const LATE = 20;

$code = <<<'PHP'
[$order, $late, $go] = [json_decode(getenv('ORDER')), (int) getenv('LATE'), getenv('GO')];

function descend(int $generation): void
{
    global $order, $late, $go;
    pcntl_alarm(40);
    $order[$generation] && Ferry\Queue::push('Job1', "early-$generation");
    $parent = getmypid();
    if ($generation < 2 && pcntl_fork() === 0) {
        wait_until(fn () => posix_getppid() !== $parent, 'the parent has ended');
        descend($generation + 1);
    }
    if ($generation === 0) {
        exit(0);
    }
    $generation === 2 && touch("$go-alone");
    $generation === 1 && exit(0);
    wait_until(fn () => file_exists($go), 'the test has looked');
    for ($n = 0; $n < $late; $n++) {
        Ferry\Queue::push('Job1', "late-$n");
    }
    echo 'size ' . Ferry\Queue::size() . "\n";
    exit(0);
}
descend(0);
PHP;

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    foreach (ORDERS as $order) {
        $what = "$name, pushes of generations " . implode($order);
        $connection = use_broker($config);
        $go = temp_dir() . '/go-' . bin2hex(random_bytes(3));
        $url = $name === 'redis' ? "redis://127.0.0.1:$config[port]" : "sqlite:$config[path]";
        $env = ['FERRY_URL' => $url, 'ORDER' => json_encode($order), 'LATE' => (string) LATE, 'GO' => $go];
        $early = array_sum($order);
        // Nobody else holds the file open when a generation ends: what is beside it goes with the last that does.
        Queue::connection()->clear();
        Queue::configure('memory:');
        unset($connection);
        $child = Child::php($code, [], $env);
        same("$what: the first ends", 0, $child->wait());
        wait_until(fn () => file_exists("$go-alone"), "$what: the last is alone");
        // Another process opens the file, and closes it as the only one that has it.
        $other = 'echo Ferry\Queue::size();';
        $look = Child::php($other, [], $env);
        same("$what: another process looks", 0, $look->wait());
        same("$what: what came early", "$early", $look->out());
        touch($go);
        // It is not the process that the test started, so only what it says tells of it.
        wait_until(fn () => str_contains($child->out(), "\n") || $child->err() !== '', "$what: the last one speaks");
        same("$what: no trouble", '', $child->err());
        same("$what: the last one's size", 'size ' . ($early + LATE), trim($child->out()));
        $look = Child::php($other, [], $env);
        same("$what: another process looks again", 0, $look->wait());
        same("$what: all are stored", (string) ($early + LATE), $look->out());
    }
}
done();
?>
--EXPECT--
ok
