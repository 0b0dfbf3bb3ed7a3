--TEST--
monitor: lines with rates where nobody looks, objects for machines, a table that renews itself on a terminal
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

class Done
{
    public function fire($job, $data)
    {
        $job->delete();
    }
}

foreach (shared_brokers() as $name => $config) {
    $connection = use_broker($config);
    $connection->push('Done', '', 'mail');
    $monitor = Ferry::on($config)->start(['monitor', '--json', '--interval=0.1', '--queue=mail']);
    $looks = fn () => array_map(fn ($line) => json_decode($line, true, 512, JSON_THROW_ON_ERROR), array_slice(explode("\n", $monitor->out()), 0, -1));
    wait_until(fn () => count($looks()) >= 2, 'it looks twice');
    [$first, $second] = $looks();
    same("$name: no rates at first", [null, 1, 0.0], [$first['queues'][0]['growth_per_second'], $first['queues'][0]['ready'], $first['queues'][0]['head_waits_at_least']]);
    check("$name: the first in line waits", $second['queues'][0]['head_waits_at_least'] > 0, $second);
    $connection->bulk(array_fill(0, 50, 'Done'), '', 'mail');
    wait_until(fn () => array_filter($looks(), fn ($look) => $look['queues'][0]['growth_per_second'] > 0) !== [], 'it grows');
    $worker = new Ferry\Worker(['connection' => $connection, 'queue' => 'mail', 'max_time' => 5, 'log' => 'none']);
    // It reports within two seconds.
    $worker->on('looping', function () use ($looks, $worker) {
        foreach ($looks() as $look) {
            if (($look['processed_per_second'] ?? 0) > 0) {
                $worker->stop();
            }
        }
    });
    $worker->run();
    check("$name: a worker's rate", array_filter($looks(), fn ($look) => $look['processed_per_second'] > 0) !== []);
    wait_until(fn () => array_slice($looks(), -1)[0]['queues'][0]['size'] === 0, 'it is empty');
    check("$name: it shrank", array_filter($looks(), fn ($look) => $look['queues'][0]['growth_per_second'] < 0) !== []);
    $monitor->signal(SIGTERM);
    $monitor->wait();
    same("$name: no complaint", '', $monitor->err());
}

// A broker that goes away and comes back: the monitor stays.
$server = RedisServer::start();
$monitor = Ferry::on($server->config())->start(['monitor', '--interval=0.1', '--queue=mail']);
wait_until(fn () => substr_count($monitor->out(), 'queue=mail ready=0') >= 2, 'plain lines');
$server->stop();
wait_until(fn () => str_contains($monitor->err(), 'ferry: '), 'it says so');
$lines = substr_count($monitor->out(), 'queue=mail');
RedisServer::startOn($server->port);
wait_until(fn () => substr_count($monitor->out(), 'queue=mail') > $lines + 1, 'it goes on');
$monitor->signal(SIGKILL);
(new Ferry(['FERRY_URL' => 'redis://127.0.0.1:1']))->run(['monitor'])->refused('no broker from the beginning', 1, 'Connection refused');
Ferry::on(['type' => 'memory'])->run(['monitor', '--interval=0'])->refused('too often', 2, '--interval needs');

// On a terminal, which `script` lends us: colours, bars, and a table in place of the last one.
$config = ['type' => 'sqlite', 'path' => temp_dir() . '/term.sqlite'];
$connection = use_broker($config);
$connection->push('Done', '', '<error>odd</error>');
$connection->later(60, 'Done', '', '<error>odd</error>');
$command = implode(' ', array_map('escapeshellarg', Ferry::on($config)->command(['monitor', '--interval=0.1', '--queue=<error>odd</error>'])));
$screen = Child::start(['script', '-qefc', $command, '/dev/null'], temp_dir() . '/screen', ['FERRY_URL' => Ferry::url($config), 'TERM' => 'xterm', 'COLUMNS' => '150', 'LINES' => '40']);
wait_until(fn () => substr_count($screen->out(), 'Oldest') >= 3, "it draws again; so far:\n{$screen->out()}");
holds('a bar', '█', $screen->out());
holds('in colour', "\x1b[33m█", $screen->out());
check('in place of the last one', preg_match('/\x1b\[\d+A/', $screen->out()) === 1, bin2hex(substr($screen->out(), 0, 2000)));
holds('names are shown as they are', '<error>odd</error>', $screen->out());
posix_kill($screen->pid, SIGTERM);
$screen->wait();
done();
--EXPECT--
ok
