--TEST--
What cannot be carried is refused with a clear error, and nothing is stored
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

Queue::configure('memory:');

function refused(string $what, string $piece, callable $call, string $class = Ferry\InvalidArgumentException::class): void
{
    $said = thrown($call);
    check("$what is refused by $class", str_starts_with($said, "$class: "), $said);
    holds($what, $piece, $said);
}

final class Uncountable
{
}

// Delays.
foreach ([NAN, INF, -INF, 'abc', '', '1,5', '0x10', [], new stdClass(), true, false, STDIN, 1e30, '1e400'] as $delay) {
    refused('delay ' . shown(is_resource($delay) ? 'resource' : $delay), 'the delay is', fn () => Queue::later($delay, 'Job1'));
}
foreach ([PHP_INT_MAX, 253402300800, new DateTime('@253402300800'), new DateInterval('P9000Y')] as $delay) {
    refused('a due time beyond the year 9999', 'year', fn () => Queue::later($delay, 'Job1'));
}
check('the last second that can be stored', is_string(Queue::later(new DateTime('9999-12-31 23:59:59 UTC'), 'Job1', 1, 'last')));

// Queue names.
refused('bad UTF-8', 'not valid UTF-8', fn () => Queue::push('Job1', 1, "\xff\xfe"));
refused('256 bytes', '256 bytes long', fn () => Queue::push('Job1', 1, str_repeat('q', 256)));
refused('a line feed', 'control character', fn () => Queue::push('Job1', 1, "a\nb"));
refused('a NUL', 'control character', fn () => Queue::push('Job1', 1, "a\0b"));
check('255 bytes', is_string(Queue::push('Job1', 1, str_repeat('q', 255))));
foreach (['push' => ['Job1', 1, []], 'pushOn' => [[], 'Job1'], 'size' => [[]], 'pop' => [new stdClass()], 'pushRaw' => [[]], 'stats' => [new Uncountable()]] as $method => $arguments) {
    $said = thrown(fn () => Queue::$method(...$arguments));
    check("$method: no array or plain object for a string", $said !== 'nothing' && !str_contains($said, 'panic'), $said);
}

// Jobs.
foreach ([null, 5, 1.5, true, [], ['Job1']] as $job) {
    refused('a job', 'neither a string', fn () => Queue::push($job));
}
refused('an empty job', 'empty string', fn () => Queue::push(''));
refused('a job in bad UTF-8', 'Malformed UTF-8', fn () => Queue::push("Job\xff"));
refused('a closure', 'a closure cannot be pushed: a worker does not have its code. Push the name of a class (Class, Class@method) or an object with handle()', fn () => Queue::push(fn () => 1));
refused('a first-class callable', 'a closure cannot be pushed', fn () => Queue::push(strlen(...)));
refused('a closure among others', 'a closure cannot be pushed', fn () => Queue::bulk(['Job1', fn () => 1]));
holds('a generator', 'Generator', thrown(fn () => Queue::push((fn () => yield 1)())));
class Holder
{
    public function __construct(public mixed $held)
    {
    }

    public function handle()
    {
    }
}
refused('an object that holds a closure', "the job object of class Holder cannot be pushed: Serialization of 'Closure' is not allowed", fn () => Queue::push(new Holder(fn () => 1)));
holds('an anonymous class', 'anonymous', thrown(fn () => Queue::push(new class {
    public function handle() {}
})));

// Data.
$deep = [];
for ($level = 1; $level < 512; $level++) {
    $deep = [$deep];
}
$circle = [];
$circle['me'] = &$circle;
foreach ([[NAN, 'Inf and NaN'], [['x' => -INF], 'Inf and NaN'], ["\xc3\x28", 'Malformed UTF-8'], [["\xff" => 1], 'Malformed UTF-8'], [$deep, 'Maximum stack depth'], [$circle, ''], [STDIN, 'Type is not supported'], [fopen('php://memory', 'r'), 'Type is not supported']] as [$data, $piece]) {
    refused('data', "Unable to create payload: $piece", fn () => Queue::push('Job1', $data));
    refused('data of later', "Unable to create payload: $piece", fn () => Queue::later(5, 'Job1', $data));
    refused('data of bulk', "Unable to create payload: $piece", fn () => Queue::bulk(['Job1', 'Job2'], $data));
}
enum Unbacked
{
    case A;
}
refused('a pure enum', 'Non-backed enums', fn () => Queue::push('Job1', Unbacked::A));

// Lists of jobs.
foreach (['Job1', null, new ArrayObject(['Job1'])] as $jobs) {
    refused('bulk', 'takes an array', fn () => Queue::bulk($jobs));
}
refused('one bad job of three', 'neither a string', fn () => Queue::bulk(['Job1', 5, 'Job2']));

// States, limits.
refused('an unknown state', 'one of ready, delayed, reserved', fn () => Queue::connection()->peek(null, 'done'));
refused('a negative limit', 'negative', fn () => Queue::connection()->peek(limit: -1));
refused('a negative offset', 'negative', fn () => Queue::connection()->failed(offset: -1));

// The largest payload.
$small = new Ferry\Connection('memory:?max_payload=150');
refused('a long payload', 'the connection takes 150', fn () => $small->push('Job1', str_repeat('x', 150)));
refused('a long raw payload', 'is 151 bytes long', fn () => $small->pushRaw(str_repeat('x', 151)));
refused('a long one among many', 'the connection takes 150', fn () => $small->bulk(['Job1', 'Job' . str_repeat('x', 150)]));
same('150 bytes', null, $small->pushRaw(str_repeat('x', 150)));
same('only that one is stored', 1, $small->size());

same('nothing is stored', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());
done();
?>
--EXPECT--
ok
