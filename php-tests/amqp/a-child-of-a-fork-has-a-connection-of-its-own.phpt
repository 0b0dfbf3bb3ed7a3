--TEST--
A child of a fork has a RabbitMQ connection of its own, and its end leaves its parent's alone
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/rabbit.php';

use Ferry\Queue;

$server = RabbitNode::shared();
Queue::configure(['connections' => ['amqp' => $server->config()]]);
Queue::push('J', 1);
$held = Queue::pop();
same('the parent holds one', 1, $held->attempts());
for ($child = 0; $child < 3; $child++) {
    $pid = pcntl_fork();
    if ($pid === 0) {
        Queue::push('J', $child);
        exit(Queue::size() > 0 ? 7 : 8);
    }
    pcntl_waitpid($pid, $status);
    same('the child pushed and ended', 7, pcntl_wexitstatus($status));
}
$held->delete();
same('the children pushed', 3, Queue::size());
$again = Queue::pop();
same('the parent goes on', 1, $again->attempts());
done();
?>
--EXPECT--
ok
