--TEST--
A process that was stopped past the timeout of its job and goes on gives the job its grace: its finally block runs
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$child = Child::php(<<<'PHP'
Ferry\Queue::configure('memory:');
class Slow
{
    public function fire($job, $data)
    {
        try {
            echo "begun\n";
            while (true) {
                usleep(1000);
            }
        } finally {
            echo "finally\n";
        }
    }
}
Ferry\Queue::push('Slow', 1);
exit((new Ferry\Worker(['log' => 'none', 'tries' => 1, 'timeout' => 1, 'grace' => 1, 'stop_when_empty' => true, 'sleep' => 0]))->run());
PHP);
$child->says("begun\n");
$child->signal(SIGSTOP);
$end = clock() + 3;
wait_until(fn () => clock() > $end, 'timeout and grace are over');
$child->signal(SIGCONT);
same('its worker goes on', 0, $child->wait());
same('finally ran', "begun\nfinally\n", $child->out());
done();
?>
--EXPECT--
ok
