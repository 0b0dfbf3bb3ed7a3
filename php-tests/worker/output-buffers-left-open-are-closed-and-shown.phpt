--TEST--
Output buffers that a handler left open are closed and shown, those of the caller are left alone
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Opens
{
    public function fire($job, $data)
    {
        for ($level = 0; $level < $data; $level++) {
            ob_start(fn ($text) => "[$text]");
        }
        echo "level $data";
        $job->delete();
        if ($data === 3) {
            throw new RuntimeException('boom');
        }
    }
}

class Closes
{
    public function fire($job, $data)
    {
        $job->delete();
        ob_end_flush();
    }
}

class OpensBadly
{
    public function fire($job, $data)
    {
        ob_start(fn () => throw new RuntimeException('in the buffer'));
        echo 'x';
        $job->delete();
    }
}

Queue::configure('memory:');
foreach ([0, 1, 2, 3] as $levels) {
    Queue::push('Opens', $levels);
}
Queue::push('OpensBadly');
Queue::push('Opens', 1);
ob_start();
$level = ob_get_level();
$code = (new Ferry\Worker(['stop_when_empty' => true, 'delay' => 0, 'log' => 'none']))->run();
same('the caller\'s buffer is still there', $level, ob_get_level());
$said = ob_get_clean();
holds('one after the other', 'level 0[level 1][[level 2]][[[level 3]]]', $said);
holds('a buffer that throws does not keep the next job from running', '[level 1]', substr($said, -9));
same('code', 0, $code);

ob_start();
echo 'kept';
Queue::push('Closes');
Queue::push('Opens', 0);
(new Ferry\Worker(['stop_when_empty' => true, 'delay' => 0, 'log' => 'none']))->run();
same('size', 0, Queue::size());
echo "\n";
done();
?>
--EXPECT--
keptlevel 0
ok
