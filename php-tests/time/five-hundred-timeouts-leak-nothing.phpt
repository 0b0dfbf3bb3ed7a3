--TEST--
Five hundred timeouts in a row leak nothing
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Loops
{
    public function fire($job, $data)
    {
        $held = str_repeat('x', 10_000);
        while (true) {
            $held[0] = 'y';
        }
    }
}

function rss(): int
{
    preg_match('/VmRSS:\s+(\d+)/', file_get_contents('/proc/self/status'), $found);
    return (int) $found[1];
}

Queue::configure('memory:');
$stopped = 0;
$start = null;
$worker = new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none', 'tries' => 1, 'timeout' => 0.003]);
$worker->on('timeout', function () use (&$stopped, &$start) {
    if (++$stopped === 50) {
        $start = [memory_get_usage(), rss()];
    }
});
Queue::bulk(array_fill(0, 550, 'Loops'));
same('code', 0, $worker->run());
same('stopped', 550, $stopped);
$grown = memory_get_usage() - $start[0];
check('PHP\'s memory is flat', $grown < 20_000, "$grown bytes");
$grown = rss() - $start[1];
check('resident memory is flat', $grown < 2_000, "$grown KiB");
done();
?>
--EXPECT--
ok
