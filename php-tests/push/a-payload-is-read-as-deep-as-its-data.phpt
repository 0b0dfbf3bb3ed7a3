--TEST--
payload() reads data of every depth that a handler gets
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Keeps
{
    public static mixed $data;

    public function fire($job, $data)
    {
        self::$data = $data;
        $job->delete();
    }
}

Queue::configure('memory:');
$deep = 1;
for ($depth = 1; $depth <= 510; $depth++) {
    $deep = [$deep];
}
Queue::push('Keeps', $deep);
$job = Queue::pop();
check('payload(name)', $job->payload('data') === $deep);
check('payload()', $job->payload()['data'] === $deep);
$job->fire();
check('the handler', Keeps::$data === $deep);
done();
?>
--EXPECT--
ok
