--TEST--
Ferry\Think\Connector runs the jobs of ThinkPHP 5 as think-queue v1 and v2 do: typed jobs, short names, hooks, one job or a daemon
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php

namespace app\job {

    require __DIR__ . '/../support/redis.php';
    require __DIR__ . '/../support/think5-fakes.php';
    require project('php/autoload.php');

    class Note
    {
        public static array $lines = [];

        public function fire(\think\queue\Job $job, $data)
        {
            self::$lines[] = get_class($job) . " $data, attempt {$job->attempts()}";
            if ($data === 'error') {
                throw new \TypeError('an error');
            }
            $data === 'throw' ? throw new \DomainException('an exception') : $job->delete();
        }

        public function failed($data)
        {
            self::$lines[] = "failed $data";
        }
    }
}

namespace {

    use app\job\Note;
    use think\console\{Input, Output};
    use think\{Cache, Config, Hook, Queue};

    $redis = RedisServer::start();
    Config::$all['queue'] = ['connector' => Ferry\Think\Connector::class, 'expire' => 60, 'default' => 'default', 'host' => '127.0.0.1', 'port' => $redis->port, 'password' => '', 'select' => 0, 'timeout' => 0, 'persistent' => false];
    $work = function (array $options) {
        (new Ferry\Think\WorkCommand())->execute(new Input($options), $output = new Output());
        return $output->lines;
    };

    check('push', is_string(Queue::push(Note::class, 'one')));
    Queue::push('Note', 'short');
    same('later answers null, as v1 and v2 do', null, Queue::later(0, Note::class, 'two'));
    $link = new Redis();
    $link->connect('127.0.0.1', $redis->port);
    same('the keys of v1', [2, 1], [$link->lLen('queues:default'), $link->zCard('queues:default:delayed')]);
    same('the count of v1', 1, json_decode($link->lIndex('queues:default', 0), true)['attempts']);

    same('without --daemon one job', ['<info>Processed:</info> app\job\Note'], $work([]));
    same('hooks of one job', ['worker_before_process null'], Hook::$heard);
    $work(['queue' => 'default']);
    $work([]);
    same('typed and short', ['Ferry\Think\Job one, attempt 1', 'Ferry\Think\Job short, attempt 1', 'Ferry\Think\Job two, attempt 1'], Note::$lines);

    [Note::$lines, Hook::$heard] = [[], []];
    Queue::push(Note::class, 'throw');
    $work(['tries' => 1, 'delay' => '0']);
    $lines = $work(['tries' => 1, 'delay' => '0']);
    same('v1 fails a job at its next pop', ['Ferry\Think\Job throw, attempt 1', 'failed throw'], Note::$lines);
    same('the line', ['<error>Failed:</error> app\job\Note'], $lines);
    check('the hook', in_array('queue_failed Ferry\Think\Job', Hook::$heard, true), Hook::$heard);
    Queue::push(Note::class, 'error', 'errors');
    $work(['queue' => 'errors', 'delay' => '60']);
    same('what is reported', ['an exception', 'wrapped an error'], [think\exception\Handle::$reported[0], end(think\exception\Handle::$reported)]);

    $job = Queue::push(Note::class, 'popped') === null ?: Queue::pop();
    [Note::$lines] = [[]];
    $job->fire();
    same('fired by hand', [['Ferry\Think\Job popped, attempt 1'], true], [Note::$lines, $job->isDeleted()]);

    // A daemon ends when queue:restart writes its key.
    Hook::$heard = [];
    Queue::push(Note::class, 'in the daemon');
    $restart = new class {
        public function __invoke()
        {
            Cache::$all['think:queue:restart'] = time();
        }
    };
    pcntl_async_signals(true);
    pcntl_signal(SIGALRM, $restart);
    pcntl_alarm(1);
    $work(['daemon' => true]);
    same('hooks of a daemon', ['worker_daemon_start null', 'worker_before_process null', 'worker_queue_restart null'], Hook::$heard);

    Config::$all['queue']['connector'] = 'Redis';
    same('another connector', ["think-queue's own command"], $work([]));
    done();
}
--EXPECT--
ok
