--TEST--
Plain Redis tasks are pushed with the recorded keys, worked, retried after 60 s and given up; the worker survives what it cannot run
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\RedisTask\{QueueManager, Task, Worker};

class Mail extends Task
{
    protected $maxAttempts = 2;
    public static array $failed = [];
    public function handle(): bool
    {
        return match ($this->data['act'] ?? '') {
            'false' => false,
            'throw' => throw new RuntimeException('smtp down'),
            'error' => strlen(),
            default => true,
        };
    }
    public function failed(Exception $e)
    {
        self::$failed[] = get_class($e) . ': ' . $e->getMessage();
    }
}
class NoTask
{
    public function __construct()
    {
        echo "NOT: built\n";
    }
}

$server = RedisServer::start();
$redis = new Redis();
$redis->connect('127.0.0.1', $server->port);
$manager = new QueueManager('127.0.0.1', $server->port);
$worker = fn () => new Worker($manager, ['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]);

// Bytes and keys.
$task = new Mail(['to' => '张', 'u' => 'a/b']);
check('the id', preg_match('/^task_[0-9a-f]{13}[0-9]\.[0-9]{8}$/', $task->getId()) === 1, $task->getId());
same('pushed', true, $manager->push($task, 'email'));
$body = $redis->lIndex('email', 0);
same('the bytes', sprintf('{"id":"%s","class":"Mail","data":{"to":"张","u":"a\/b"},"attempts":0,"max_attempts":2,"delay":0,"created_at":%d}', $task->getId(), $task->createdAt), $body);
same('read back', $body, Task::unserialize($body)->serialize());
$task->delay = 300;
$task->maxAttempts = 7;
$manager->push($task, 'email');
same('stats', ['pending' => 1, 'delayed' => 1, 'failed' => 0], $manager->getStats('email'));
holds('delay and attempts', '"max_attempts":7,"delay":300', $redis->zRange('delayed_queue:email', 0, 0)[0]);
holds('bad UTF-8', 'cannot be encoded', thrown(fn () => $manager->push(new Mail(["\xff"]), 'email')));

// Worked.
same('the run', 0, $worker()->start('email'));
same('done', [0, []], [$redis->lLen('email'), $redis->zRange('email:ferry:reserved', 0, -1)]);
$redis->del('delayed_queue:email');

// Retried, then given up.
foreach (['false', 'throw', 'error'] as $act) {
    $manager->push(new Mail(['act' => $act]), 'email');
    $worker()->start('email');
    [$member, $due] = [array_key_first($redis->zRange('delayed_queue:email', 0, -1, true)), current($redis->zRange('delayed_queue:email', 0, -1, true))];
    holds("$act: the body", '"attempts":1,"max_attempts":2,"delay":60', $member);
    check("$act: due in a minute", abs($due - time() - 60) <= 2, $due - time());
    $redis->zAdd('delayed_queue:email', time(), $member);
    $worker()->start('email');
    $record = json_decode($redis->lPop('failed_queue:email'), true);
    same("$act: the record", ['task', 'error', 'failed_at', 'attempts'], array_slice(array_keys($record), 0, 4));
    same("$act: attempts", [2, 2], [$record['attempts'], json_decode($record['task'], true)['attempts']]);
    holds("$act: the error", ['false' => 'handle() returned false', 'throw' => 'smtp down', 'error' => 'strlen()'][$act], $record['error']);
}
same('failed() was called once each', 3, count(Mail::$failed));
holds('with an exception', 'smtp down', Mail::$failed[1]);

// What cannot be run is parked; the worker lives.
$parked = function (string $bytes) use ($redis, $worker): array {
    $redis->lPush('bad', $bytes);
    same('the worker lives', 0, $worker()->start('bad'));
    return json_decode($redis->lPop('failed_queue:bad') ?: 'null', true) ?? [];
};
$of = fn (string $class) => sprintf('{"id":"x","class":"%s","data":[],"attempts":0,"max_attempts":3,"delay":0,"created_at":1}', $class);
foreach (['', 'not json', '{"class":5}', '{"class":"Mail","data":"x"}', '{"class":"Mail","data":[],"attempts":"many"}'] as $bytes) {
    $record = $parked($bytes);
    same("parked: $bytes", [$bytes, 'poison'], [$record['task'] ?? null, $record['reason'] ?? null]);
}
$record = $parked("{\"class\":\"\xff\"}");
same('not UTF-8', ['', base64_encode("{\"class\":\"\xff\"}")], [$record['task'] ?? null, $record['task_base64'] ?? null]);
foreach (['NoTask', 'ArrayObject', 'Ferry\\\\RedisTask\\\\Task'] as $class) {
    same("$class is never built", 'no_handler', $parked($of($class))['reason'] ?? null);
}
same('a missing class is waited for', [], $parked($of('Nowhere')));
holds('with its attempt counted', '"attempts":1,"max_attempts":3,"delay":1,', $redis->zRange('delayed_queue:bad', 0, 0)[0]);

// Refused.
holds('a queue called like a key', 'choose another name', thrown(fn () => $manager->push(new Mail(), 'x:ferry:reserved')));
$connection = new Ferry\Connection(['type' => 'redis', 'port' => $server->port, 'family' => 'redis-task']);
holds('Queue::push', 'plain Redis tasks', thrown(fn () => $connection->push('Mail', [], 'email')));
holds('another family', 'redis-task', thrown(fn () => new QueueManager(new Ferry\Connection($server->dsn()))));

// A worker runs once at a time.
class Again extends Task
{
    public static ?Worker $worker = null;
    public static string $said = '';
    public function handle(): bool
    {
        self::$said = thrown(fn () => self::$worker->start('other'));
        return true;
    }
    public function failed(Exception $e)
    {
    }
}
Again::$worker = $worker();
$manager->push(new Again(), 'email');
same('the outer run', 0, Again::$worker->start('email'));
holds('start() inside start()', 'this worker is running already', Again::$said);

// pop takes a task for good, as in the original.
$manager->push(new Mail(['n' => 1]), 'email');
same('pop', ['n' => 1], $manager->pop('email')->data);
same('nothing', null, $manager->pop('email', 0));
$manager->markAsFailed(new Mail(['n' => 2]), new Exception('by hand'), 'email');
holds('marked', '"error":"by hand"', $redis->lIndex('failed_queue:email', 0));
same('retried', 1, $connection->retryFailed(queue: 'email'));
same('fresh', 2, $manager->pop('email')->data['n']);
done();
?>
--EXPECT--
ok
