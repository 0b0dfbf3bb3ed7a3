--TEST--
A worker that stops when its queues are empty works all that is ready, in the order of its queues, also jobs that were released, and leaves delayed ones
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq'); ?>
--FILE--
<?php
require __DIR__ . '/../support/rabbit.php';

use Ferry\Queue;

class Note
{
    public static array $worked = [];

    public function fire($job, $data)
    {
        self::$worked[] = "$data {$job->attempts()}";
        if ($data === 'again' && $job->attempts() === 1) {
            $job->release();
            return;
        }
        $job->delete();
    }
}

function worked(array $options): array
{
    Note::$worked = [];
    $code = (new Ferry\Worker($options + ['stop_when_empty' => true, 'log' => 'none']))->run();
    same('exit code', Ferry\Worker::EXIT_STOPPED, $code);
    return Note::$worked;
}

$server = RabbitNode::start();
Queue::configure(['connections' => ['amqp' => $server->config()]]);
foreach ([1, 64] as $prefetch) {
    $options = ['prefetch' => $prefetch];
    same("prefetch $prefetch: nothing is there", [], worked($options + ['queue' => 'high']));
    $push = function () {
        Queue::bulk(array_fill(0, 40, 'Note'), 'low', 'low');
        Queue::bulk(array_fill(0, 40, 'Note'), 'high', 'high');
        Queue::push('Note', 'again', 'high');
        Queue::later(3600, 'Note', 'delayed', 'high');
    };
    $push();
    $counts = array_count_values(worked($options + ['queue' => 'high']));
    ksort($counts);
    same("prefetch $prefetch: all of one queue", ['again 1' => 1, 'again 2' => 1, 'high 1' => 40], $counts);
    same("prefetch $prefetch: the other one is left", [0, 40], [Queue::size('high'), Queue::size('low')]);

    $push();
    $worked = worked($options + ['queue' => 'high,low']);
    same("prefetch $prefetch: the first queue first", array_fill(0, 40, 'high 1'), array_slice($worked, 0, 40));
    $counts = array_count_values($worked);
    ksort($counts);
    same("prefetch $prefetch: all of both", ['again 1' => 1, 'again 2' => 1, 'high 1' => 40, 'low 1' => 80], $counts);
    same("prefetch $prefetch: nothing is left", [0, 0], [Queue::size('high'), Queue::size('low')]);
}
done();
?>
--EXPECT--
ok
