--TEST--
PHP code that runs while a job is encoded may throw, push, pop and configure
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Says implements JsonSerializable
{
    public function __construct(private Closure $work)
    {
    }

    public function jsonSerialize(): mixed
    {
        return ($this->work)();
    }
}

class Named
{
    public function __toString(): string
    {
        Queue::push('FromToString', 0);
        return 'named';
    }
}

Queue::configure('memory:');
same('what it throws is the caller\'s', 'DomainException: inside', thrown(fn () => Queue::push('Outer', new Says(fn () => throw new DomainException('inside')))));
same('an Error too', 'DivisionByZeroError: Modulo by zero', thrown(fn () => Queue::push('Outer', ['x' => new Says(fn () => 1 % 0)])));
same('nothing is stored', 0, Queue::size());

Queue::push('Outer', new Says(fn () => Queue::push('Inner', new Says(fn () => [Queue::push('Innermost'), Queue::size()]))));
same('the inner ones come first', ['Innermost', 'Inner', 'Outer'], array_map(fn ($body) => json_decode($body)->job, Queue::connection()->peek()));
Queue::connection()->clear();

Queue::bulk(['A', 'B'], new Says(fn () => Queue::pop()?->getName() ?? Queue::push('Between') ?? 'x'));
check('bulk with code that pops and pushes', Queue::size() > 0);
Queue::connection()->clear();

Queue::push('Outer', 1, new Named());
same('a queue name may be made by code that pushes', [1, 1], [Queue::size('named'), Queue::size()]);

Queue::push('Outer', new Says(function () {
    Queue::configure('memory:?queue=elsewhere');
    return 1;
}));
same('the connection is the one the call began with', 'elsewhere', (fn () => Queue::connection()->push('J') ? 'elsewhere' : '')());

// An error that the encoder met before must not be taken for one of this push.
json_encode(NAN);
check('a stale JSON error is nobody\'s', is_string(Queue::push('Job1', 1)));
json_decode('{');
check('a stale JSON error is nobody\'s', Queue::pop() !== null);
same('json_last_error() is as push left it', true, is_int(json_last_error()));
done();
?>
--EXPECT--
ok
