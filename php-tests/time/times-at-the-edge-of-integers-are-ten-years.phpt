--TEST--
PHP_INT_MAX as a time in options, payloads, classes and release() counts as ten years
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;
use Ferry\Worker;

class Patient
{
    public $timeout = PHP_INT_MAX;

    public $backoff = PHP_INT_MAX;

    public function fire($job, $data)
    {
        $GLOBALS['ran'][] = $data;
        match ($data) {
            'release' => $job->release(PHP_INT_MAX),
            'throw' => throw new RuntimeException('on purpose'),
            default => $job->delete(),
        };
    }
}

const TEN_YEARS = 10 * 365 * 86400;

$server = RedisServer::start();
foreach (['memory:', 'sqlite:' . temp_dir() . '/jobs.sqlite', $server->dsn()] as $dsn) {
    Queue::configure($dsn);
    $GLOBALS['ran'] = [];
    foreach (['delete', 'release', 'throw'] as $data) {
        Queue::push('Patient', $data);
    }
    foreach (['9223372036854775807', '1e308', '18446744073709551616', '-9223372036854775808'] as $number) {
        $counters = str_starts_with($dsn, 'sqlite') ? '' : ',"id":"i' . $number . '","attempts":0';
        Queue::pushRaw('{"job":"Patient","maxTries":null,"timeout":' . $number . ',"data":"number"' . $counters . '}');
    }
    $times = ['timeout', 'warn_before', 'grace', 'stop_timeout', 'status', 'max_time', 'max_lease', 'max_outage'];
    foreach ([PHP_INT_MAX, (float) PHP_INT_MAX, (string) PHP_INT_MAX, PHP_FLOAT_MAX] as $most) {
        $worker = new Worker(array_fill_keys($times, $most) + ['stop_when_empty' => true, 'log' => 'none', 'tries' => PHP_INT_MAX, 'sleep' => 0]);
        same("$dsn: the run ends", 0, $worker->run());
    }
    same("$dsn: every job ran once", ['delete', 'number', 'number', 'number', 'number', 'release', 'throw'], (function ($ran) { sort($ran); return $ran; })($GLOBALS['ran']));
    ['ready' => $ready, 'delayed' => $delayed, 'reserved' => $reserved, 'failed' => $failed] = Queue::stats();
    same("$dsn: two wait", [0, 2, 0, 0], [$ready, $delayed, $reserved, $failed]);
}
$due = array_map(fn ($score) => (int) $score - time(), array_values($server->client()->zRange('{queues:default}:delayed', 0, -1, true)));
check('for ten years', count($due) === 2 && min($due) > TEN_YEARS - 60 && max($due) <= TEN_YEARS, $due);
done();
?>
--EXPECT--
ok
