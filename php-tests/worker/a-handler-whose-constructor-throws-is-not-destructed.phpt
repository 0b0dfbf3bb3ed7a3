--TEST--
A handler whose constructor throws is not destructed, as with `new`, and its own exception counts
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

final class Quiet { public function log($level, $message, $context) {} }

class Refuses
{
    private Closure $done;
    public function __construct($data)
    {
        throw new LogicException("refused $data");
    }
    public function fire($job, $data)
    {
    }
    public function __destruct()
    {
        ($this->done)();
    }
}
Ferry\Queue::configure('memory:');
Ferry\Queue::push('Refuses', 'x');
same('the run', 0, (new Ferry\Worker(['tries' => 1, 'log' => new Quiet, 'stop_when_empty' => true, 'sleep' => 0]))->run());
$failed = Ferry\Queue::failed();
same('one failed', 1, count($failed));
holds('with its own exception', 'LogicException: refused x', $failed[0]['exception']);
check('and no other', !str_contains($failed[0]['exception'], 'before initialization'), $failed[0]['exception']);
done();
?>
--EXPECT--
ok
