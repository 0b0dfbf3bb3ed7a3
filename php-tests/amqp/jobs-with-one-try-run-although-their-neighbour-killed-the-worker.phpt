--TEST--
Jobs of a class with one try are held beside one that kills its worker, and each of them runs once all the same
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/rabbit.php';

use Ferry\Queue;

$marks = temp_dir() . '/marks';
define('MARKS', $marks);

function mark(string $line): void
{
    file_put_contents(MARKS, "$line\n", FILE_APPEND | LOCK_EX);
}

class Fast
{
    public function fire($job, $data)
    {
        mark("fast $data");
        $job->delete();
    }
}

class Kills
{
    public function fire($job, $data)
    {
        if ($job->attempts() === 1) {
            posix_kill(getmypid(), SIGKILL);
        }
        mark('kills');
        $job->delete();
    }
}

class OneTry
{
    public $tries = 1;

    public function fire($job, $data)
    {
        mark("one {$job->attempts()} $data");
        $job->delete();
    }
}

$server = RabbitNode::start();
Queue::configure(['connections' => ['amqp' => $server->config(['retry_after' => 2])]]);
Queue::bulk(array_fill(0, 100, 'Fast'), 'x');
Queue::push('Kills', '');
foreach (range(1, 10) as $number) {
    Queue::push('OneTry', (string) $number);
}
// The death may have taken acknowledgements of fast jobs with it: those run again, and do not count here.
$finished = fn () => count(preg_grep('/^(one|kills)/', @file(MARKS) ?: [])) >= 11;
// Workers that are killed are started anew.
$deadline = hrtime(true) + 60e9;
$starts = 0;
do {
    $starts++;
    reap(fork(function () use ($finished) {
        $worker = new Ferry\Worker(['log' => 'none', 'tries' => 3, 'max_time' => 30]);
        $worker->on('looping', fn () => $finished() && $worker->stop());
        $worker->run();
    }));
} while (!$finished() && hrtime(true) < $deadline && Queue::stats()['failed'] === 0);
$ones = array_values(array_filter(file($marks, FILE_IGNORE_NEW_LINES), fn ($line) => str_starts_with($line, 'one')));
sort($ones, SORT_NATURAL);
same('each ran once, in its first attempt', array_map(fn ($number) => "one 1 $number", range(1, 10)), $ones);
same('nothing failed', 0, Queue::stats()['failed']);
same('the worker was killed once', 2, $starts);
done();
?>
--EXPECT--
ok
