--TEST--
Handlers are found by name, in a namespace, in a map, or made by a factory
--FILE--
<?php

namespace app\job {

    class SendMail
    {
        public function fire($job, $data)
        {
            $GLOBALS['ran'][] = __METHOD__;
            $job->delete();
        }
    }
}

namespace app\shop\job {

    class Order
    {
        public function fire($job, $data)
        {
            $GLOBALS['ran'][] = __METHOD__;
            $job->delete();
        }
    }
}

namespace {

    require __DIR__ . '/../support/boot.php';

    use Ferry\Queue;
    use Ferry\Worker;

    class Plain
    {
        public function fire($job, $data)
        {
            $GLOBALS['ran'][] = 'fire';
            $job->delete();
        }

        public function other($job, $data)
        {
            $GLOBALS['ran'][] = 'other';
            $job->delete();
        }

        public static function still($job, $data)
        {
            $GLOBALS['ran'][] = 'still';
            $job->delete();
        }

        private function hidden($job, $data)
        {
            $GLOBALS['ran'][] = 'hidden';
        }
    }

    class Magic
    {
        public function __call($name, $arguments)
        {
            $GLOBALS['ran'][] = "__call $name " . count($arguments);
            $arguments[0]->delete();
        }
    }

    class WithConstructor
    {
        public function __construct(private $data)
        {
        }

        public function fire($job, $data)
        {
            $GLOBALS['ran'][] = 'constructed with ' . json_encode($this->data) . ' and fired with ' . json_encode($data);
            $job->delete();
        }
    }

    class NoArguments
    {
        public function __construct()
        {
            $GLOBALS['ran'][] = func_num_args();
        }

        public function fire()
        {
            $GLOBALS['ran'][] = func_num_args();
            func_get_arg(0)->delete();
        }
    }

    class ThrowingConstructor
    {
        public function __construct()
        {
            throw new RuntimeException('constructor');
        }
    }

    abstract class Half
    {
        abstract public function fire($job, $data);
    }

    enum Colour
    {
        case Red;
    }

    class PrivateConstructor
    {
        private function __construct()
        {
        }
    }

    Queue::configure('memory:');

    /** Works one job; answers what ran, or the reason and first line why it failed. */
    function work(string $job, array $options = [], mixed $data = 1): string
    {
        $GLOBALS['ran'] = [];
        Queue::connection()->clear();
        $failed = Queue::stats()['failed'];
        Queue::push($job, $data);
        (new Worker(['once' => true, 'tries' => 1, 'log' => 'none'] + $options))->run();
        if (Queue::stats()['failed'] > $failed) {
            $record = Queue::connection()->failed(limit: 1)[0];
            return "$record[reason]: " . strtok($record['exception'], "\n");
        }
        return implode(', ', $GLOBALS['ran']) . (Queue::size() ? ' and left' : '');
    }

    $said = [
        ['Plain', 'fire'], ['\Plain', 'fire'], ['plain', 'fire'], ['Plain@other', 'other'], ['Plain@OTHER', 'other'], ['Plain@still', 'still'],
        ['Plain@hidden', 'exception: Error: Call to private method Plain::hidden()'], ['Plain@nope', 'no_handler: class Plain has no method nope()'], ['Plain@', 'no_handler: '],
        ['Nope', ' and left'], ['@fire', 'no_handler: '], ['Magic', '__call fire 2'], ['Magic@any', '__call any 2'],
        ['WithConstructor', 'constructed with 1 and fired with 1'], ['NoArguments', '0, 2'],
        ['ThrowingConstructor', 'exception: RuntimeException: constructor'], ['Half', 'exception: Error: Cannot instantiate abstract class Half'],
        ['Colour', 'exception: Error: Cannot instantiate enum Colour'], ['Countable', 'exception: Error: Cannot instantiate interface Countable'],
        ['PrivateConstructor', 'exception: Error: Call to private PrivateConstructor::__construct()'],
    ];
    foreach ($said as [$job, $expected]) {
        $found = work($job);
        check("$job: $expected", str_starts_with($found, $expected), $found);
    }

    // Short names.
    $namespaced = ['namespace' => '\app\\'];
    foreach ([['sendMail', 'app\job\SendMail::fire'], ['send_mail', 'app\job\SendMail::fire'], ['send-mail', 'app\job\SendMail::fire'], ['SendMail@fire', 'app\job\SendMail::fire'], ['shop/Order', 'app\shop\job\Order::fire'], ['app\job\SendMail', 'app\job\SendMail::fire'], ['Plain', 'fire']] as [$job, $expected]) {
        same("short name $job", $expected, work($job, $namespaced));
    }

    // A map, and an allow-list.
    $map = ['handlers' => ['mail' => 'app\job\SendMail', 'Plain']];
    same('a mapped name', 'app\job\SendMail::fire', work('mail', $map));
    same('with a method', 'other', work('Plain@other', $map));
    same('others may run too', '__call fire 2', work('Magic', $map));
    $strict = $map + ['strict' => true];
    same('strict: listed', 'fire', work('Plain', $strict));
    same('strict: not listed', 'no_handler: Magic is not in the worker\'s list of handlers', work('Magic', $strict));
    same('strict: object jobs are not listed either', 'no_handler: think\queue\CallQueuedHandler is not in the worker\'s list of handlers', work('think\queue\CallQueuedHandler@call', $strict, ['command' => 'x']));

    // A factory.
    $factory = function (string $class, $data) {
        $GLOBALS['ran'][] = "make $class of " . json_encode($data);
        return new class {
            public function fire($job, $data)
            {
                $GLOBALS['ran'][] = 'made';
                $job->delete();
            }
        };
    };
    same('a factory', 'make Any\Thing of {"a":1}, made', work('Any\Thing', ['handler' => $factory], ['a' => 1]));
    same('a factory that knows no such class', ' and left', work('X', ['handler' => fn () => null]));
    Queue::pushRaw('{"job":"X","maxTries":2,"timeout":null,"data":1,"id":"x","attempts":5}', 'waiting');
    (new Worker(['once' => true, 'queue' => 'waiting', 'log' => 'none', 'handler' => fn () => null]))->run();
    same('its job waits longer than its tries', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], Queue::stats('waiting'));
    check('a factory that makes no object', str_starts_with(work('X', ['handler' => fn () => 'X']), 'no_handler: the handler of X is not an object'), work('X', ['handler' => fn () => 'X']));
    same('a factory that throws', 'exception: RuntimeException: no', substr(work('X', ['handler' => fn () => throw new RuntimeException('no')]), 0, 31));

    // The object that handlers get.
    final class Wrapped
    {
        public function __construct(public Ferry\Job $inner)
        {
        }

        public function __call($name, $arguments)
        {
            $GLOBALS['ran'][] = "wrapped $name";
            return $this->inner->$name(...$arguments);
        }
    }
    same('a class', 'fire, wrapped delete', work('Plain', ['job' => Wrapped::class]));
    same('a factory', 'fire, wrapped delete', work('Plain', ['job' => fn (Ferry\Job $job) => new Wrapped($job)]));
    same('a job class that does not exist', true, str_contains(work('Plain', ['job' => 'No\Such']), 'No') || work('Plain', ['job' => 'No\Such']) !== '');

    // Autoloaders that throw are the handler's trouble, not the worker's.
    spl_autoload_register(function ($class) {
        if ($class === 'Cursed') {
            throw new LogicException('autoloader');
        }
    });
    same('a throwing autoloader', 'exception: LogicException: autoloader', substr(work('Cursed'), 0, 37));
    done();
}
?>
--EXPECTF--
%Aok
