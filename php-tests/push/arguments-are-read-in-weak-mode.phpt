--TEST--
Queue names, payloads and delays are read in weak mode, and arguments can be named
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

final class Name
{
    public function __construct(private string $name)
    {
    }

    public function __toString(): string
    {
        return $this->name;
    }
}

Queue::configure('memory:');
$connection = Queue::connection();

// Queue names.
foreach ([[7, '7'], [1.5, '1.5'], [true, '1'], [new Name('s'), 's'], ['00', '00'], [0, 'default'], ['0', 'default'], ['', 'default'], [false, 'default'], [null, 'default']] as [$given, $queue]) {
    Queue::push('Job1', 1, $given);
    same('queue ' . shown($given instanceof Name ? 'object' : $given), 1, count($connection->peek($queue)));
    same('clear', 1, $connection->clear($queue));
    Queue::pushOn($given, 'Job1', 1);
    same('pushOn', 1, Queue::size($given));
    $connection->clear($queue);
}

// Raw payloads.
foreach ([[7, '7'], [1.5, '1.5'], [true, '1'], [new Name('{"id":"x"}'), '{"id":"x"}']] as [$given, $stored]) {
    Queue::pushRaw($given);
    same('payload', [$stored], $connection->peek());
    $connection->clear();
}

// Delays.
foreach (['15', ' 15 ', '1.5', '-3', 15, 1.9, null, '1e1', new DateTime('+1 hour'), new DateTimeImmutable('+1 hour'), new DateInterval('P1D'), DateInterval::createFromDateString('2 hours')] as $delay) {
    check('a delay', is_string(Queue::later($delay, 'Job1', 1, 'delays')));
    check('a delay', is_string(Queue::laterOn('delays', $delay, 'Job1')));
}
same('all of them are stored', 24, Queue::size('delays'));

// Named arguments, in any order.
Queue::push(queue: 'named', job: 'Job1', data: 5);
Queue::later(job: 'Job1', delay: -1, queue: 'named');
Queue::pushRaw(options: ['x' => 1], queue: 'named', payload: 'raw');
same('named arguments', 3, Queue::size(queue: 'named'));
holds('the data argument was named', '"data":5', $connection->peek(state: 'ready', queue: 'named')[0]);
same('limit and offset', 1, count($connection->peek('named', null, limit: 5, offset: 1)));
holds('an unknown name', 'Unknown named parameter $dat', thrown(fn () => Queue::push('Job1', dat: 1)));
done();
?>
--EXPECT--
ok
