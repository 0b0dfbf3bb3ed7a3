--TEST--
`handler`, `job` and `namespace` of configure() hold for workers, for pushes on sync and for popped jobs; what a worker is given wins
--FILE--
<?php

namespace app\job {

    class SendMail
    {
        public function __construct(public string $by = 'new')
        {
        }

        public function fire($job, $data)
        {
            $GLOBALS['ran'][] = "$this->by " . get_class($job) . " $data";
            $job->delete();
        }

        public function failed($data)
        {
            $GLOBALS['ran'][] = "$this->by failed $data";
        }
    }
}

namespace other\job {

    class SendMail extends \app\job\SendMail
    {
        public function __construct()
        {
            parent::__construct('other');
        }
    }
}

namespace {

    require __DIR__ . '/../support/boot.php';

    use Ferry\Queue;
    use Ferry\Worker;

    class Wrapped
    {
        public function __construct(public Ferry\Job $inner)
        {
        }

        public function delete()
        {
            $this->inner->delete();
        }
    }

    /** Says when it is let go of. */
    class Witness
    {
        public function __destruct()
        {
            // Like every destructor it may use what is configured.
            $GLOBALS['let go'] = Queue::connection()->getName();
        }
    }

    $connections = ['m' => ['type' => 'memory'], 's' => ['type' => 'sync']];
    function ran(callable $work): string
    {
        $GLOBALS['ran'] = [];
        $work();
        return implode(', ', $GLOBALS['ran']);
    }
    /** What a push on `sync`, a popped job and a worker run. */
    function everywhere(array $options = []): array
    {
        return [
            ran(fn () => Queue::connection('s')->push('send_mail', 'sync')),
            ran(fn () => Queue::push('send_mail', 'popped') . Queue::pop()->fire()),
            ran(fn () => Queue::connection()->clear() . Queue::push('send_mail', 'worked') . (new Worker(['once' => true, 'log' => 'none'] + $options))->run()),
        ];
    }

    $make = fn (string $class, $data) => new $class("made for $data by");
    $all = ['default' => 'm', 'connections' => $connections, 'handler' => $make, 'job' => Wrapped::class, 'namespace' => 'app'];
    Queue::configure($all);
    same('everywhere', ['made for sync by Wrapped sync', 'made for popped by Wrapped popped', 'made for worked by Wrapped worked'], everywhere());
    same('none is reported as not read', [], Queue::notices());
    same('a worker\'s own win, one by one', 'other Ferry\Job worked', everywhere(['namespace' => 'other', 'handler' => fn ($class) => new $class(), 'job' => fn ($job) => $job])[2]);
    same('failed() of a popped job', 'made for f by failed f', ran(fn () => Queue::push('send_mail', 'f') . Queue::pop()->failed(new Exception())));
    same('a connection of its own has them too', 'made for own by Wrapped own', ran(fn () => (new Ferry\Connection('sync:'))->push('send_mail', 'own')));

    $mine = new Worker(['once' => true, 'log' => 'none']);
    Queue::configure(['namespace' => 'other'] + ['default' => 'm', 'connections' => $connections]);
    same('each configuration replaces the one before', ['other Ferry\Job sync', 'other Ferry\Job popped', 'other Ferry\Job worked'], everywhere());
    same('a worker keeps those that it was made with', 'made for mine by Wrapped mine', ran(fn () => Queue::connection()->clear() . Queue::push('send_mail', 'mine') . $mine->run()));

    // The flat array of v1 and v2.
    Queue::configure(['connector' => 'Sync', 'namespace' => 'app', 'handler' => fn ($class, $data) => new $class('flat')]);
    same('a flat array', ['flat Ferry\Job x', 'think1'], [ran(fn () => Queue::push('SendMail', 'x')), 'think1']);
    same('where nothing of it is reported', [], Queue::notices());

    // What is wrong is said at once, and the configuration stays as it was.
    foreach ([['handler', 'no such function', 'callable'], ['job', 5, 'a class name or callable'], ['namespace', [], 'a string']] as [$name, $value, $wanted]) {
        same("a wrong $name", "Ferry\ConfigException: the configuration option `$name` must be $wanted", thrown(fn () => Queue::configure([$name => $value] + $all)));
    }
    holds('a misspelt one', 'did you mean `namespace`?', thrown(fn () => Queue::configure(['namespaces' => 'app'] + $all)));
    same('as it was', 'flat Ferry\Job x', ran(fn () => Queue::push('SendMail', 'x')));

    // A factory is let go of with its configuration, and may be PHP code that uses the next one.
    $witness = new Witness();
    Queue::configure(['handler' => fn ($class) => new $class(get_class($witness))] + $all);
    unset($witness);
    Queue::configure(['default' => 'second', 'connections' => ['second' => ['type' => 'memory']]]);
    same('let go', 'second', $GLOBALS['let go'] ?? 'never');
    done();
}
?>
--EXPECT--
ok
