--TEST--
A handler that declares think-queue's Job gets one from ferry/php; without that package its job waits, and the message names it
--FILE--
<?php

namespace app {

    require __DIR__ . '/../support/boot.php';
    require __DIR__ . '/../support/think-fakes.php';

    abstract class Note
    {
        /** @var list<string> */
        public static array $jobs = [];
    }

    class Typed extends Note
    {
        public function fire(\think\queue\Job $job, $data)
        {
            self::$jobs[] = get_class($job);
            $job->delete();
        }

        public function either(int|\Think\Queue\Job $job, $data)
        {
            self::$jobs[] = 'either ' . get_class($job);
            $job->delete();
        }
    }

    class Untyped extends Note
    {
        public function fire($job, $data)
        {
            self::$jobs[] = get_class($job);
            $job->delete();
        }

        public function ours(\Ferry\Job $job, $data)
        {
            self::$jobs[] = 'ours ' . get_class($job);
            $job->delete();
        }
    }

    class Other
    {
        public function fire(\ArrayObject $job, $data)
        {
        }
    }
}

namespace {

    use app\{Note, Other, Typed, Untyped};
    use Ferry\Queue;

    Queue::configure('memory:');
    $work = fn (array $options = []) => (new Ferry\Worker($options + ['once' => true, 'sleep' => 0, 'log' => 'none']))->run();

    Queue::push(Typed::class, 1, 'lone');
    $worker = new Ferry\Worker(['once' => true, 'sleep' => 0, 'log' => 'none', 'queue' => 'lone', 'tries' => 1]);
    $said = [];
    $worker->on('exception', function ($job, $e) use (&$said) {
        $said[] = $e->getMessage();
    });
    $worker->run();
    same('without the package the job waits', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], Queue::stats('lone'));
    holds('the message names the package', 'app\Typed::fire() takes a think\queue\Job, which only the Composer package ferry/php can make', $said[0]);

    require project('php/autoload.php');
    foreach ([Typed::class, Typed::class . '@either', Untyped::class, Untyped::class . '@ours'] as $job) {
        Queue::push($job);
        $work();
    }
    same('each gets what it declares', ['Ferry\Think\Job', 'either Ferry\Think\Job', 'Ferry\Job', 'ours Ferry\Job'], Note::$jobs);
    same('all are done', [0, 0, 0, 0], array_values(Queue::stats()));

    Note::$jobs = [];
    Queue::push(Typed::class);
    Queue::pop()->fire();
    same('pop()->fire() too', ['Ferry\Think\Job'], Note::$jobs);

    Queue::push(Other::class, 1, 'other');
    $work(['queue' => 'other', 'tries' => 1]);
    $text = Queue::failed('other')[0]['exception'];
    holds('a TypeError is explained', 'Ferry\Job given', $text);
    holds('a TypeError is explained', '(handlers get a Ferry\Job as their first argument: declare it so, or as think\queue\Job, or let the worker option `job` make the object)', $text);
    done();
}
--EXPECT--
ok
