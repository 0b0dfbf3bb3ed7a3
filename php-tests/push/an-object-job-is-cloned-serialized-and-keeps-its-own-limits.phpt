--TEST--
An object job is cloned and serialized by PHP's rules, and its own tries, timeout and deadline are kept
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Report
{
    public $tries = 4;
    public $timeout = 9;
    private $secret = 'private';
    protected $open = ['protected'];
    public $log = [];

    public function __clone()
    {
        $this->log[] = 'cloned';
    }

    public function __serialize(): array
    {
        return ['log' => $this->log, 'secret' => $this->secret, 'open' => $this->open];
    }

    public function __unserialize(array $data): void
    {
        [$this->log, $this->secret, $this->open] = [$data['log'], $data['secret'], $data['open']];
    }

    public function handle()
    {
        echo implode(',', $this->log), " $this->secret {$this->open[0]}\n";
    }
}

class Deadlines
{
    public $timeoutAt;

    public function __construct($timeoutAt = null)
    {
        $this->timeoutAt = $timeoutAt;
    }

    public function retryUntil()
    {
        return new DateTime('@2000000000');
    }
}

class Hidden
{
    private $tries = 1;
    protected $timeout = 2;
    private $timeoutAt = 3;
}

class Uncloneable
{
    private function __clone()
    {
    }
}

class Throwing
{
    public function __serialize(): array
    {
        throw new DomainException('serialize me not');
    }
}

class ThrowingClone
{
    public function __clone()
    {
        throw new DomainException('clone me not');
    }
}

class ThrowingDeadline
{
    public function retryUntil()
    {
        throw new DomainException('no deadline');
    }
}

Queue::configure('memory:');
function limits(object $job): array
{
    Queue::push($job, 'ignored');
    $popped = Queue::pop();
    $popped->delete();
    return [$popped->maxTries(), $popped->timeout(), $popped->timeoutAt()];
}

$report = new Report();
same('limits', [4, 9, null], limits($report));
same('the caller keeps his object', [], $report->log);
same('a date is a unix second', [null, null, 2100000000], limits(new Deadlines(new DateTimeImmutable('@2100000000'))));
same('a number stays', [null, null, 1900000000], limits(new Deadlines(1900000000)));
same('without timeoutAt, retryUntil() counts', [null, null, 2000000000], limits(new Deadlines()));
same('limits that are not public do not count', [null, null, null], limits(new Hidden()));
same('a private __clone', 'Ferry\InvalidArgumentException: the job object of class Uncloneable cannot be cloned', thrown(fn () => Queue::push(new Uncloneable())));
same('__serialize throws', 'DomainException: serialize me not', thrown(fn () => Queue::push(new Throwing())));
same('__clone throws', 'DomainException: clone me not', thrown(fn () => Queue::push(new ThrowingClone())));
same('retryUntil() throws', 'DomainException: no deadline', thrown(fn () => Queue::push(new ThrowingDeadline())));
same('nothing of these is stored', 0, Queue::size());

Queue::push($report);
(new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
same('the job is done', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());
done();
?>
--EXPECT--
cloned private protected
ok
