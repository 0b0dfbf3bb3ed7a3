--TEST--
canRetry() of a subclass decides whether a failed task is tried again: not at all, or beyond its attempts; max_attempts decide where it throws
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\RedisTask\{QueueManager, Task, Worker};

class Fails extends Task
{
    public static array $asked = [];
    public static array $failed = [];
    public function handle(): bool
    {
        if ($this->data['does'] === 'gives up in handle()') {
            $this->maxAttempts = 0;
        }
        return $this->data['does'] === 'works' ? true : throw new RuntimeException('not now');
    }
    public function failed(Exception $e)
    {
        self::$failed[] = "{$this->data['does']}: {$e->getMessage()}";
    }
}
class Asked extends Fails
{
    public function canRetry(): bool
    {
        self::$asked[] = $this->getAttempts();
        return match ($this->data['does']) {
            'never' => false,
            'always' => true,
            'while young' => $this->attempts < 5,
            'throws' => throw new RuntimeException('whether I know?'),
            'runs too long' => false,
            default => parent::canRetry(),
        };
    }
}
class Slow extends Asked
{
    public function handle(): bool
    {
        while (true) {
            usleep(1000);
        }
    }
}

$server = RedisServer::start();
$redis = $server->client();
$manager = new QueueManager('127.0.0.1', $server->port);
$work = function (array $more = []) use ($manager): string {
    [Fails::$asked, Fails::$failed] = [[], []];
    $log = new class {
        public array $lines = [];
        public function log($level, $line, array $context = [])
        {
            $this->lines[] = $line;
        }
    };
    $options = ['stop_when_empty' => true, 'sleep' => 0, 'log' => $log];
    same('the worker lives', 0, (new Worker($manager, $more + $options))->start('q'));
    return implode("\n", $log->lines);
};
/** Attempts in the delayed body, or `failed` with the reason and attempts of the record. */
$where = function () use ($redis): string {
    $delayed = $redis->zRange('delayed_queue:q', 0, -1);
    if ($delayed !== []) {
        $redis->del('delayed_queue:q');
        return 'again ' . json_decode($delayed[0], true)['attempts'];
    }
    $record = json_decode($redis->lPop('failed_queue:q') ?: '[]', true);
    return $record === [] ? 'done' : "failed $record[reason] $record[attempts]";
};
$push = function (string $class, string $does, int $attempts) use ($redis): void {
    $redis->lPush('q', json_encode(['id' => 'x', 'class' => $class, 'data' => ['does' => $does], 'attempts' => $attempts, 'max_attempts' => 3, 'delay' => 0, 'created_at' => 1]));
};

foreach ([
    // class, what canRetry() does, attempts made before: where the task is, what canRetry() saw
    ['Fails', 'default', 0, 'again 1', []],
    ['Fails', 'default', 2, 'failed exception 3', []],
    ['Fails', 'gives up in handle()', 0, 'failed exception 1', []],
    ['Asked', 'works', 0, 'done', []],
    ['Asked', 'default', 0, 'again 1', [1]],
    ['Asked', 'default', 2, 'failed exception 3', [3]],
    ['Asked', 'never', 0, 'failed exception 1', [1]],
    ['Asked', 'always', 2, 'again 3', [3]],
    // Beyond its attempts it is asked before it starts, with the attempts made.
    ['Asked', 'always', 3, 'again 4', [3, 4]],
    ['Asked', 'while young', 4, 'failed exception 5', [4, 5]],
    ['Asked', 'never', 3, 'failed max_attempts 4', [3]],
    ['Fails', 'default', 3, 'failed max_attempts 4', []],
] as [$class, $does, $attempts, $end, $asked]) {
    $push($class, $does, $attempts);
    $work();
    same("$class, $does, after $attempts", [$end, $asked], [$where(), Fails::$asked]);
    same("$class, $does, after $attempts: failed()", str_starts_with($end, 'failed') ? 1 : 0, count(Fails::$failed));
}

foreach ([0 => 'again 1', 2 => 'failed exception 3'] as $attempts => $end) {
    $push('Asked', 'throws', $attempts);
    holds('what it throws is reported', 'canRetry() of Asked threw, so max_attempts decides: RuntimeException: whether I know?', $work());
    same("it throws after $attempts", $end, $where());
}
$push('Slow', 'runs too long', 0);
$work(['timeout' => 0.2]);
same('a task that ran too long is asked too', ['failed timeout 1', [1]], [$where(), Fails::$asked]);

// A task that is given up unstarted hears of its own end, and the one before it does not.
$push('Fails', 'works', 0);
$push('Fails', 'default', 3);
$work();
same('who failed', 1, preg_match('/^default: .*attempted too many times/', implode("\n", Fails::$failed)));
done();
?>
--EXPECT--
ok
