--TEST--
A status tells of timeouts, of handlers that end the process or fork, of killed and interrupted workers, and of jobs popped by hand
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';
require_once __DIR__ . '/../support/child.php';

$server = RedisServer::start();
$url = "redis://127.0.0.1:{$server->config()['port']}?track=1&retry_after=3";
Ferry\Queue::configure($url);
$connection = Ferry\Queue::connection();

$code = <<<'PHP'
class Ends
{
    public function fire($job, $data)
    {
        echo "$data {$job->attempts()}\n";
        if ($job->attempts() > 1) {
            $job->delete();
            return;
        }
        switch ($data) {
            case 'slow': while (true) { }
            // Deaf to its clock: it cannot leave.
            case 'deaf': preg_match('/^(a+)+$/', str_repeat('a', 64) . 'b'); sleep(60); return;
            case 'exit': exit(0);
            case 'fatal': ini_set('memory_limit', '16M'); str_repeat('x', 1 << 30);
            case 'killed':
            case 'term': while (true) { usleep(1000); }
            case 'fork':
                if (pcntl_fork() === 0) {
                    $job->progress(99, 'of a child');
                    $job->result('of a child');
                    return;
                }
                pcntl_wait($status);
                $job->progress(50, 'of the parent');
                $job->delete();
        }
    }
}
exit((new Ferry\Worker(json_decode(getenv('OPTIONS'), true) + ['log' => 'none', 'delay' => 0, 'stop_when_empty' => true]))->run());
PHP;
$start = fn (array $options) => Child::php($code, ['-d', 'pcre.backtrack_limit=1000000000', '-d', 'pcre.jit=0'], ['FERRY_URL' => $url, 'OPTIONS' => json_encode($options)]);
$tell = fn (string $id) => (($status = $connection->status($id)) !== null ? "$status->state $status->attempts" : 'nothing') . ($status?->error === null ? '' : ' ' . strtok($status->error, "\n"));

$run = function (string $data, array $options) use ($connection, $start, $tell): string {
    $connection->clear();
    $id = $connection->push('Ends', $data);
    $start($options)->wait();
    return $tell($id);
};
same('a timeout', 'failed 1 Ends ran longer than its timeout of 0.3 s and was stopped', $run('slow', ['timeout' => 0.3, 'tries' => 1]));
same('a timeout with tries left', 'retrying 1 Ends ran longer than its timeout of 0.3 s and was stopped', $run('slow', ['timeout' => 0.3, 'tries' => 2, 'delay' => 60]));
same('a process that had to end', 'failed 1 The job ran longer than its timeout and did not exit; its process was ended', $run('deaf', ['timeout' => 0.3, 'grace' => 0.3, 'tries' => 1]));
holds('exit', 'failed 1 The worker process ended while this job ran: its handler called exit()', $run('exit', ['tries' => 1]));
// How it ended is told differently by each PHP.
holds('a fatal error', 'retrying 1 The worker process ended while this job ran: ', $run('fatal', ['tries' => 2, 'delay' => 60]));
same('a fork', 'succeeded 1', $run('fork', ['tries' => 1]));

// A killed worker leaves `running` behind until the next attempt.
$connection->clear();
$id = $connection->push('Ends', 'killed');
$worker = $start([]);
$worker->says('killed 1');
wait_until(fn () => $tell($id) === 'running 1', 'it runs');
$worker->signal(SIGKILL);
$worker->wait();
same('still running, as far as anybody knows', 'running 1', $tell($id));
$next = $start(['stop_when_empty' => false, 'max_jobs' => 1]);
$next->wait();
same('the next attempt', 'succeeded 2', $tell($id));

// An interrupted one is queued as if it had not begun.
$id = $connection->push('Ends', 'term');
$worker = $start(['stop_timeout' => 0.2]);
$worker->says('term 1');
wait_until(fn () => $tell($id) === 'running 1', 'it runs');
$worker->signal(SIGTERM);
$worker->wait();
same('queued again', 'queued 0', $tell($id));

// Popped by hand.
$job = $connection->pop();
same('popped', ['running 1', $id], [$tell($id), $job->getJobId()]);
$job->progress(30);
$pid = fork(function () use ($job) {
    $job->progress(99);
    return thrown(fn () => $job->delete()) === 'nothing' ? 1 : 0;
});
same('a child may not', 0, reap($pid));
same('its progress', 30, $connection->status($id)->progress);
$job->result('by hand');
$job->delete();
same('settled', ['succeeded 1', 'by hand'], [$tell($id), $connection->status($id)->result]);
done();
?>
--EXPECT--
ok
