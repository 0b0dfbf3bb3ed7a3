--TEST--
The worker option container makes handlers, and what the handle() of object jobs takes; a factory that knows no class returns null
--FILE--
<?php

require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Mailer
{
    public array $sent = [];
}

class SendMail
{
    public function __construct(private Mailer $mailer)
    {
    }

    public function fire($job, $data)
    {
        $this->mailer->sent[] = $data;
        $job->delete();
    }
}

class Plain
{
    public static int $runs = 0;

    public function fire($job, $data)
    {
        self::$runs++;
        $job->delete();
    }
}

class Welcome
{
    public function __construct(private string $name)
    {
    }

    public function handle(Mailer $mailer, ?Mailer $optional = null)
    {
        $mailer->sent[] = $this->name;
    }
}

class WantsMore
{
    public function handle(Mailer $mailer, int $count)
    {
    }
}

/** As PSR-11 has it. */
class Services
{
    public array $asked = [];

    public function __construct(private array $services)
    {
    }

    public function has(string $id): bool
    {
        return isset($this->services[$id]);
    }

    public function get(string $id): object
    {
        $this->asked[] = $id;
        return isset($this->services[$id]) ? $this->services[$id]() : throw new OutOfBoundsException("no service $id");
    }
}

$mailer = new Mailer();
$services = new Services(['Mailer' => fn () => $mailer, 'SendMail' => fn () => new SendMail($mailer), 'mail.service' => fn () => new SendMail($mailer)]);
Queue::configure('memory:');
$work = fn (array $options) => (new Ferry\Worker($options + ['stop_when_empty' => true, 'log' => 'none', 'tries' => 1]))->run();

Queue::push(SendMail::class, 'one');
Queue::push('mail.service', 'by the name of a service');
Queue::push(Plain::class);
Queue::push(new Welcome('Li'));
$work(['container' => $services]);
same('handlers and handle()', ['one', 'by the name of a service', 'Li'], $mailer->sent);
same('what the container does not have is made with new', 1, Plain::$runs);
same('what it was asked for', ['SendMail', 'mail.service', 'Mailer'], $services->asked);
same('all done', [0, 0, 0, 0], array_values(Queue::stats()));

Queue::push(new WantsMore(), '', 'more');
$work(['container' => $services, 'queue' => 'more']);
holds('what no container can make is PHP\'s to refuse', 'ArgumentCountError', Queue::failed('more')[0]['exception']);

foreach ([new stdClass(), 'Mailer'] as $wrong) {
    try {
        new Ferry\Worker(['container' => $wrong]);
        check('refused', false);
    } catch (Ferry\InvalidArgumentException $e) {
        holds('no container', 'the worker option `container` must be a PSR-11 container', $e->getMessage());
    }
}

Queue::push('OfTomorrow', 1, 'tomorrow');
(new Ferry\Worker(['handler' => fn ($class) => null, 'queue' => 'tomorrow', 'once' => true, 'sleep' => 0, 'log' => 'none', 'tries' => 1]))->run();
same('a class that the factory does not know waits', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], Queue::stats('tomorrow'));
done();
--EXPECT--
ok
