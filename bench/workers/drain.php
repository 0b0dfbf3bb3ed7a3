<?php

// Connects, says that it is ready, waits for a line and works a full queue until it is empty; then it says how many jobs it worked.
//   php drain.php mariadb_row.php|postgres_row.php ferry|think|PEER

declare(strict_types=1);

namespace Bench;

[, $row, $kind] = $argv;
require __DIR__ . '/../lib/' . basename($row);

$side = match ($kind) {
    'ferry' => null,
    'think' => new ThinkOnServer(),
    default => installed_peers()[$kind],
};
if ($side === null) {
    configure_ferry();
    $run = fn (string $queue) => (new \Ferry\Worker(['queue' => $queue, 'stop_when_empty' => true, 'log' => 'none']))->run();
    // A worker reserves, settles and asks for orders on connections of their own, which it opens with its first job.
    \Ferry\Queue::push(\BenchJob::class, DATA, QUEUE . getmypid());
    $run(QUEUE . getmypid());
    \BenchJob::$done = 0;
    $work = fn () => $run(QUEUE);
} else {
    $work = function () use ($side) {
        while ($side->work());
    };
}
echo "ready\n";
fgets(STDIN);
$work();
echo \BenchJob::$done, "\n";
