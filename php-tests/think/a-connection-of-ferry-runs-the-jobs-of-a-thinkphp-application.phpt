--TEST--
A connection of the type ferry runs a ThinkPHP application's jobs: typed, injected, short-named, object and bulk jobs, with think's events
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php

namespace app {

    final class Mailer
    {
        /** @var list<string> */
        public static array $sent = [];

        public function send(string $text): void
        {
            self::$sent[] = $text;
        }
    }
}

namespace app\job {

    use app\Mailer;

    require __DIR__ . '/../support/think.php';

    class SendMail
    {
        public function __construct(private Mailer $mailer)
        {
        }

        public function fire(\think\queue\Job $job, $data)
        {
            $this->mailer->send(sprintf('%s, attempt %d on %s of %s', $data, $job->attempts(), $job->getQueue(), $job->getConnection()));
            $job->delete();
        }

        public function again(\think\queue\Job $job, $data)
        {
            $this->mailer->send("again $data");
            $job->attempts() === 1 ? $job->release(0) : $job->delete();
        }
    }

    class Welcome implements \Ferry\ShouldQueue
    {
        public function __construct(private string $name)
        {
        }

        public function handle(Mailer $mailer)
        {
            $mailer->send("welcome {$this->name}");
        }
    }

    class Throws
    {
        public function fire(\think\queue\Job $job, $data)
        {
            throw new \DomainException('no route');
        }

        public function failed($data, $e)
        {
            Mailer::$sent[] = "failed($data, {$e->getMessage()})";
        }
    }
}

namespace {

    use app\job\{SendMail, Throws, Welcome};
    use app\Mailer;
    use think\queue\event\{JobExceptionOccurred, JobFailed, JobProcessed, JobProcessing};

    $redis = RedisServer::start();
    $ferry = ['type' => 'ferry', 'queue' => 'default', 'host' => '127.0.0.1', 'port' => $redis->port, 'password' => '', 'select' => 0, 'timeout' => 0, 'persistent' => false];
    $app = think_app(['mail' => $ferry, 'named' => ['type' => Ferry\Think\Connector::class] + $ferry, 'own' => ['type' => 'redis'] + $ferry]);
    $queue = $app->queue->connection('mail');
    check('the type ferry', $queue instanceof Ferry\Think\Connector && $app->queue->connection('named') instanceof Ferry\Think\Connector);
    check('other types stay think-queue\'s', !$app->queue->connection('own') instanceof Ferry\Think\Connector);

    $events = [];
    $note = function (string $name) use ($app, &$events) {
        $app->event->listen($name, function ($event) use ($name, &$events) {
            $events[] = sprintf('%s %s %s', substr(strrchr($name, '\\'), 1), $event->connection ?? $event->connectionName, get_class($event->job));
        });
    };
    array_map($note, [JobProcessing::class, JobProcessed::class, JobFailed::class, JobExceptionOccurred::class]);

    check('push answers the id', is_string($queue->push(SendMail::class, 'one')));
    think_work($app, 'mail');
    same('typed and injected', ['one, attempt 1 on default of mail'], Mailer::$sent);
    same('events', ['JobProcessing mail Ferry\Think\Job', 'JobProcessed mail Ferry\Think\Job'], $events);

    [Mailer::$sent, $events] = [[], []];
    $queue->push('sendMail', 'short');
    $queue->push(new Welcome('Li'));
    $queue->later(0, SendMail::class . '@again', 'two');
    $queue->bulk([SendMail::class, SendMail::class], 'many', 'bulk');
    same('size', 2, $queue->size('bulk'));
    think_work($app, 'mail', 'default');
    think_work($app, 'mail', 'bulk');
    sort(Mailer::$sent);
    same('all kinds', ['again two', 'again two', 'many, attempt 1 on bulk of mail', 'many, attempt 1 on bulk of mail', 'short, attempt 1 on default of mail', 'welcome Li'], Mailer::$sent);

    [Mailer::$sent, $events] = [[], []];
    $queue->push(Throws::class, 'x');
    think_work($app, 'mail', tries: 2);
    same('failed() once, after the last attempt', ['failed(x, no route)'], Mailer::$sent);
    sort($events);
    same('events of failures', ['JobExceptionOccurred mail Ferry\Think\Job' => 2, 'JobFailed mail Ferry\Think\Job' => 1, 'JobProcessing mail Ferry\Think\Job' => 2], array_count_values($events));
    same('each exception is reported once', ['no route', 'no route'], array_map(fn ($e) => $e->getMessage(), $app->make(think\exception\Handle::class)->kept));

    // think-queue's own worker, which pops and fires.
    Mailer::$sent = [];
    $queue->push(SendMail::class, 'popped');
    $job = $queue->pop();
    check('a popped job is think\'s', $job instanceof think\queue\Job && $job instanceof Ferry\Think\Job);
    same('its facts', [SendMail::class, 1, false], [$job->getName(), $job->attempts(), $job->isDeletedOrReleased()]);
    $job->fire();
    same('fired', ['popped, attempt 1 on default of mail'], Mailer::$sent);
    check('deleted', $job->isDeleted() && $job->isDeletedOrReleased());
    same('empty', [null, 0], [$queue->pop(), $queue->size()]);

    // A class that this machine does not have waits, and is not lost.
    $queue->push('app\job\OfTomorrow', 1, 'tomorrow');
    think_once($app, 'mail', 'tomorrow', 1);
    same('an unknown class is given back', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], $queue->stats('tomorrow'));
    done();
}
--EXPECT--
ok
