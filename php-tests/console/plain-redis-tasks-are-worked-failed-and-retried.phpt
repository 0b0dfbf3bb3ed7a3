--TEST--
work, failed, retry --ask, forget, peek, size, monitor and doctor on a connection with the family redis-task, with records of old programs
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

const MAIL = <<<'PHP'
class Mail extends Ferry\RedisTask\Task
{
    protected $maxAttempts = 1;
    public function handle(): bool
    {
        if (!str_contains($this->data['to'], '@')) {
            throw new RuntimeException("not an address: {$this->data['to']}");
        }
        echo "mail to {$this->data['to']}\n";
        return true;
    }
}
PHP;
eval(MAIL);

$server = RedisServer::start();
$redis = $server->client();
$config = ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $server->port, 'family' => 'redis-task'];
$ferry = Ferry::on($config);
$manager = new Ferry\RedisTask\QueueManager(new Ferry\Connection($config));
$boot = bootstrap(MAIL);
$work = ['work', "--bootstrap=$boot", '--queue=email', '--stop-when-empty'];

$ids = [];
foreach (['ada@example.com', 'nobody', 'no one', 'alan@example.com'] as $to) {
    $task = new Mail(['to' => $to]);
    $manager->push($task, 'email');
    $ids[$to] = $task->getId();
}
$peeked = array_column($ferry->run(['peek', '--queue=email', '--limit=9', '--json'])->well('peek')->json(), 'payload');
same('peek: the next one first', array_values($ids), array_map(fn ($body) => json_decode($body, true)['id'], $peeked));
$said = $ferry->run($work)->well('work')->out;
foreach (['mail to ada@example.com', 'mail to alan@example.com', 'Failed:     Mail (RuntimeException: not an address: nobody'] as $piece) {
    holds('work', $piece, $said);
}

// What an old program failed is read too: the oldest of three.
$old = ['id' => 'task_6553f100a1b2c3.12345678', 'class' => 'Mail', 'data' => ['to' => '张@example.com'], 'attempts' => 3, 'max_attempts' => 3, 'delay' => 120, 'created_at' => 1700000000];
$record = ['task' => json_encode($old, JSON_UNESCAPED_UNICODE), 'error' => 'smtp down', 'failed_at' => '2023-11-14 22:13:20', 'attempts' => 3];
$redis->rPush('failed_queue:email', json_encode($record, JSON_UNESCAPED_UNICODE));
$failed = $ferry->run(['failed', '--queue=email', '--json'])->well('failed')->json();
same('newest first', [$ids['no one'], $ids['nobody'], $old['id']], array_column($failed, 'id'));
same('the class is the job', ['Mail', 'Mail', 'Mail'], array_column($failed, 'job'));
same('the time of an old one', strtotime('2023-11-14 22:13:20'), is_int($failed[2]['failed_at']) ? $failed[2]['failed_at'] : strtotime($failed[2]['failed_at']));
$table = $ferry->run(['failed', '--queue=email'])->well('table')->out;
holds('table', 'not an address: nobody', $table);
holds('table', 'smtp down', $table);
$shown = $ferry->run(['failed', 'show', $old['id'], '--queue=email'])->well('show')->out;
holds('show', '张@example.com', $shown);
same('size', 3, $ferry->run(['size', '--queue=email', '--json'])->well('size')->json()[0]['failed']);

// The old retry script meant this: each failed task is shown, and who says yes has it tried again, at once, with fresh attempts.
$asked = $ferry->run(['retry', '--ask', '--queue=email'], "y\nn\nq\n");
same('one was wanted', [0, "1 job ready again.\n"], [$asked->code, $asked->out]);
holds('asked', 'Mail', $asked->err);
holds('asked', 'smtp down', $asked->err);
$ready = json_decode($redis->lIndex('email', 0), true);
same('fresh', [0, 0, '张@example.com'], [$ready['attempts'], $ready['delay'], $ready['data']['to']]);
same('its record is gone, the others stay', 2, $redis->lLen('failed_queue:email'));
holds('worked', 'mail to 张@example.com', $ferry->run($work)->well('work again')->out);

same('retry by id', "1 job ready again.\n", $ferry->run(['retry', $ids['nobody'], '--queue=email'])->well('retry by id')->out);
holds('fails again', 'Failed:     Mail', $ferry->run($work)->out);
same('forget', "Forgotten: {$ids['nobody']}\n", $ferry->run(['forget', $ids['nobody'], '--queue=email'])->well('forget')->out);
same('one is left', [$ids['no one']], array_column($ferry->run(['failed', '--queue=email', '--json'])->json(), 'id'));

// Watched, paused and stopped as for jobs.
$later = new Mail(['to' => 'later@example.com']);
$later->delay = 600;
$manager->push($later, 'email');
$monitor = $ferry->start(['monitor', '--json', '--interval=0.1', '--queue=email']);
wait_until(fn () => str_contains($monitor->out(), "\n"), 'it looks');
$look = json_decode(strtok($monitor->out(), "\n"), true)['queues'][0];
same('monitor', [0, 1, 0, 1], [$look['ready'], $look['delayed'], $look['reserved'], $look['failed']]);
$monitor->signal(SIGTERM);
$monitor->wait();
$master = $ferry->start(['work', "--bootstrap=$boot", '--queue=email', '--processes=2']);
wait_for_children($master, 2);
$manager->push(new Mail(['to' => 'both@example.com']), 'email');
$master->says('mail to both@example.com');
$ferry->run(['pause', 'email'])->well('pause');
$reports = fn () => $ferry->run(['monitor', '--once', '--json', '--queue=email'])->json();
wait_until(fn () => array_unique(array_column($reports()['workers'], 'state')) === ['paused'], 'both have heard it');
$manager->push(new Mail(['to' => 'paused@example.com']), 'email');
same('paused', [true, 1], [$reports()['queues'][0]['paused'], $reports()['queues'][0]['ready']]);
$ferry->run(['resume', 'email'])->well('resume');
$master->says('mail to paused@example.com');
$ferry->run(['stop'])->well('stop');
same('the master ends well', 0, $master->wait());
holds('doctor', 'Queue email    0 ready, 1 delayed, 0 reserved, 1 failed', $ferry->run(['doctor', '--queue=email'])->out);
done();
--EXPECT--
ok
