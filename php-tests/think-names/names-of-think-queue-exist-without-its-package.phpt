--TEST--
The names of think-queue exist without Composer's package, and handlers typed with them work
--FILE--
<?php

namespace app\job {

    use think\queue\Job;
    use think\queue\ShouldQueue;

    class Typed
    {
        public function fire(Job $job, $data)
        {
            echo get_class($job), ' ', json_encode($data), "\n";
            $job->delete();
        }
    }

    class Command implements ShouldQueue
    {
        public function handle()
        {
            echo "handle\n";
        }
    }
}

namespace {

    require __DIR__ . '/../support/boot.php';

    use think\facade\Queue as Facade;
    use think\Queue;

    // A handler typed `think\queue\Job` before anybody asked for the name: PHP does not autoload for type checks.
    Ferry\Queue::configure('memory:');
    Ferry\Queue::push('app\job\Typed', 0);
    (new Ferry\Worker(['once' => true, 'log' => 'none']))->run();

    same('aliases', ['Ferry\Queue', 'Ferry\Queue', 'Ferry\Job', 'Ferry\CallQueuedHandler', 'Ferry\ShouldQueue'], array_map(
        fn ($name) => (new ReflectionClass($name))->name,
        ['think\Queue', 'think\facade\Queue', 'think\queue\Job', 'think\queue\CallQueuedHandler', 'think\queue\ShouldQueue'],
    ));
    check('in any case', class_exists('THINK\QUEUE') && class_exists('\think\Queue'));
    same('others do not exist', [false, false, false], [class_exists('think\queue\Nope'), class_exists('think\Queues'), class_exists('think\queue\Worker')]);
    same('without autoloading they are known now', true, class_exists('think\queue\Job', false));

    check('push', is_string(Queue::push(app\job\Typed::class, ['a' => 1])));
    check('facade', is_string(Facade::later(0, 'app\job\Typed', 'later')));
    check('object job', is_string(Queue::push(new app\job\Command())));
    check('instanceof', new app\job\Command() instanceof Ferry\ShouldQueue);
    (new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
    same('all worked', [0, 0, 0, 0], array_values(Queue::stats()));

    class MyQueue extends Queue
    {
        public static function shout(): string
        {
            return static::push('app\job\Typed', 'extended');
        }
    }
    check('extends', strlen(MyQueue::shout()) === 32);
    // The payload of an object job names think-queue's handler, whatever we call ours.
    Queue::connection()->clear();
    Queue::push(new app\job\Command());
    holds('wire', '"job":"think\\\\queue\\\\CallQueuedHandler@call"', Queue::connection()->peek()[0]);
    done();
}
?>
--EXPECT--
Ferry\Job 0
Ferry\Job {"a":1}
handle
Ferry\Job "later"
ok
