--TEST--
Jobs go over RabbitMQ as over any other connection: push, later, bulk, pop, a worker, retries, the failed store
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/rabbit.php';

use Ferry\Queue;

class Marks
{
    public static array $seen = [];

    public function fire($job, $data)
    {
        self::$seen[] = [$data, $job->attempts()];
        $job->delete();
    }
}

class Fails
{
    public static int $calls = 0;

    public function fire($job, $data)
    {
        self::$calls++;
        throw new RuntimeException('always');
    }
}

class Sleeps
{
    public function fire($job, $data)
    {
        // Five heartbeats of the connection.
        usleep(5_200_000);
        Marks::$seen[] = [$data, $job->attempts()];
        $job->delete();
    }
}

$server = RabbitNode::shared();
Queue::configure(['connections' => ['amqp' => $server->config(['retry_after' => 2, 'heartbeat' => 1])]]);

$id = Queue::push('Marks', ['n' => 1]);
check('push answers an id', is_string($id) && strlen($id) === 32, $id);
same('one is ready', 1, Queue::size());
$job = Queue::pop();
$payload = json_decode($job->getRawBody(), true);
same('the payload', ['Marks', ['n' => 1], 0, $id], [$payload['job'], $payload['data'], $payload['attempts'], $payload['id']]);
same('its first attempt', 1, $job->attempts());
$job->release();
$job = Queue::pop();
same('its second attempt', 2, $job->attempts());
$job->delete();
same('nothing is left', 0, Queue::size());

same('bulk', null, Queue::bulk(['Marks', 'Marks', 'Marks'], 'b'));
Queue::later(1, 'Marks', 'late');
Queue::push('Fails', 'f');
Queue::push('Sleeps', 's');
$worker = new Ferry\Worker(['log' => 'none', 'tries' => 2, 'delay' => 0, 'max_time' => 60]);
$worker->on('looping', fn () => count(Marks::$seen) >= 5 && Fails::$calls >= 2 && $worker->stop());
same('exit code', 0, $worker->run());
$data = array_column(Marks::$seen, 0);
sort($data);
same('all were worked', ['b', 'b', 'b', 'late', 's'], $data);
same('each in its first attempt', [], array_filter(Marks::$seen, fn ($seen) => $seen[1] !== 1));
same('the other had its tries', 2, Fails::$calls);

$failed = Queue::failed();
same('one failed', [1, 'exception', 2], [count($failed), $failed[0]['reason'] ?? null, $failed[0]['attempts'] ?? null]);
same('it is retried', 1, Queue::retryFailed());
same('untried', 1, Queue::pop()?->attempts());
done();
?>
--EXPECT--
ok
