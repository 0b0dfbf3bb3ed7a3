--TEST--
A job may be warned some seconds before its time is over; the warning can be caught
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Tidy
{
    public static array $did = [];

    public function fire($job, $data)
    {
        try {
            sleep(20);
        } catch (Ferry\TimeoutException $e) {
            self::$did[] = get_class($e);
            if ($data === 'tidies') {
                $job->release(60);
            }
            if ($data === 'lets it pass') {
                throw $e;
            }
            while ($data === 'goes on') {
            }
        }
    }
}

Queue::configure('memory:');
foreach (['tidies', 'lets it pass', 'goes on'] as $data) {
    Queue::push('Tidy', $data);
}
$told = [];
$worker = new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none', 'timeout' => 1, 'warn_before' => 0.8, 'tries' => 1]);
foreach (['processed', 'timeout', 'failed'] as $event) {
    $worker->on($event, function ($job) use (&$told, $event) {
        $told[] = $event . ': ' . $job->payload('data');
    });
}
$worker->run();
same('warned', array_fill(0, 3, 'Ferry\TimeoutException'), Tidy::$did);
same('told', ['processed: tidies', 'timeout: lets it pass', 'failed: lets it pass', 'timeout: goes on', 'failed: goes on'], $told);
same('stats', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 2], Queue::stats());
done();
?>
--EXPECT--
ok
