--TEST--
fail_time in failed_jobs is in PHP's default time zone, as think-queue writes and reads it, also when the zone changes
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

class Job1
{
    public function fire($job, $data)
    {
        $job->fail($data);
    }
}

$path = temp_dir() . '/zones.sqlite';
Ferry\Queue::configure(["default" => "jobs", "connections" => ["jobs" => ["type" => "sqlite", "path" => $path]]]);
$connection = Ferry\Queue::connection();
$pdo = null;
foreach (['Asia/Shanghai', 'America/New_York', 'UTC'] as $zone) {
    date_default_timezone_set($zone);
    $from = time();
    $connection->push('Job1', $zone);
    (new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
    $to = time();
    $pdo ??= new PDO("sqlite:$path");
    $written = strtotime($pdo->query('SELECT fail_time FROM failed_jobs ORDER BY id DESC LIMIT 1')->fetchColumn());
    check("$zone: written in its time", $written >= $from && $written <= $to, "$from $written $to");
    same("$zone: and read so", $written, $connection->failed()[0]['failed_at']);

    // What think-queue's FailedJob writes, in winter and in summer.
    foreach ([1700000000, 1720000000] as $second) {
        $pdo->prepare('INSERT INTO failed_jobs (connection, queue, payload, exception, fail_time) VALUES (?, ?, ?, ?, ?)')
            ->execute(['sqlite', 'default', '{}', 'e', date('Y-m-d H:i:s', $second)]);
        same("$zone: what think-queue wrote at $second", $second, $connection->failed()[0]['failed_at']);
    }
    $connection->forgetFailed('all');
}
done();
?>
--EXPECT--
ok
