<?php

// One confirmed publish in a request under php-fpm: Ferry keeps its connection in the child, php-amqplib has to connect each time.
// At the round trip of the loopback, and at 10 ms.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/amqp_row.php';
require __DIR__ . '/../lib/fastcgi.php';

define('Bench\BENCH', dirname(__DIR__));

if (Fpm::program() === null) {
    answer(['title' => 'publish from php-fpm', 'unit' => 'us', 'values' => ['left out' => 'php-fpm is not installed']]);
    exit;
}

/** What each request runs. */
define('Bench\PUBLISH', BENCH . '/workers/publish.php');

/** Starts a link that is slow, and answers its port. */
function slow_link(int $milliseconds): array
{
    $command = [php(), '-d', 'extension=sockets', BENCH . '/workers/delay.php', (string) getenv('BENCH_PORT'), (string) $milliseconds];
    $process = proc_open($command, [0 => ['pipe', 'r'], 1 => ['pipe', 'w'], 2 => ['file', '/dev/null', 'w']], $pipes);
    return [$process, $pipes, (int) fgets($pipes[1])];
}

$requests = amount(100, 10);
declare_queue();
$dir = getenv('BENCH_DIR') . '/fpm';
mkdir($dir, 0700);
$fpm = Fpm::start($dir, 1);
[$link, $pipes, $slow] = slow_link(10);
try {
    $samples = [];
    foreach (['round trip of the loopback' => (int) getenv('BENCH_PORT'), 'round trip of 10 ms' => $slow] as $where => $port) {
        $sides = ['Ferry\Queue::push' => 'ferry', 'php-amqplib: connect, publish, close' => 'lib'];
        foreach ($sides as $side) {
            $fpm->get(PUBLISH, "side=$side&port=$port");
        }
        for ($n = 0; $n < $requests; $n++) {
            foreach ($sides as $who => $side) {
                $took = $fpm->get(PUBLISH, "side=$side&port=$port");
                is_numeric($took) || fail("$who, $where: $took");
                $samples["$who, $where"][] = (float) $took;
            }
        }
    }
    expect(1, (int) (ready() >= 4 * $requests), 'all are stored');
} finally {
    fclose($pipes[0]);
    proc_close($link);
    $fpm->stop();
    remove_directory($dir);
}
$ratio = fn (string $where) => sprintf('%.1f', median($samples["php-amqplib: connect, publish, close, $where"]) / median($samples["Ferry\\Queue::push, $where"]));
$values = [];
foreach (['round trip of the loopback', 'round trip of 10 ms'] as $where) {
    $values["times ours, $where"] = $ratio($where);
}
answer(['title' => 'publish one confirmed job in a request under php-fpm', 'unit' => 'us', 'samples' => $samples, 'values' => $values]);
