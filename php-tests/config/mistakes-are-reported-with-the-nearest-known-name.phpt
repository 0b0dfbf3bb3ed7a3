--TEST--
Mistakes in configuration and options are named, with the nearest known word
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

function configuring(mixed $config): string
{
    return thrown(fn () => Queue::configure($config) ?? Queue::push('Job1'));
}
$one = fn (array $connection) => ['connections' => ['c' => $connection]];

foreach ([
    [5, 'takes a configuration array or a DSN', 'InvalidArgumentException'],
    [null, 'takes a configuration array or a DSN', 'InvalidArgumentException'],
    [new stdClass(), 'takes a configuration array or a DSN', 'InvalidArgumentException'],
    [[], ''],
    ['', ''],
    [['conections' => []], 'connections'],
    [$one(['type' => 'redis', 'pasword' => 'x']), 'did you mean `password`'],
    [$one(['type' => 'redis', 'Host' => 'x']), 'host'],
    [$one(['type' => 'redsi']), 'redis'],
    [$one(['type' => 'topthink']), 'topthink'],
    [$one(['type' => 'redis', 'port' => 70000]), 'port'],
    [$one(['type' => 'redis', 'port' => 'x']), 'port'],
    [$one(['type' => 'redis', 'host' => []]), 'host'],
    [$one(['type' => 'redis', 'host' => new stdClass()]), 'stdClass'],
    [$one(['type' => 'redis', 'retry_after' => -5]), 'retry_after'],
    [$one(['type' => 'redis', 'settle' => 'later']), 'pipelined'],
    [$one(['type' => 'redis', 'family' => 'think9']), 'family'],
    [$one(['type' => 'sqlite']), 'path'],
    [$one(['type' => 'sqlite', 'path' => ':memory:']), 'memory'],
    [$one(['type' => 'sqlite', 'path' => '/x', 'table' => 'a b; --']), 'table'],
    [$one(['type' => 'redis', 'queue' => "a\nb"]), 'queue'],
    [$one(['type' => 'sqlite', 'path' => '/no/such/folder/jobs.sqlite']), '/no/such/folder', 'ConnectionException'],
    [$one(['type' => 'sqlite', 'path' => temp_dir()]), 'it is a folder', 'ConnectionException'],
    [['default' => 'x', 'connections' => ['c' => ['type' => 'memory']]], 'configured are'],
    [['default' => 'x', 'connections' => 5], 'connections'],
    ['redis://h?prefetch=0', 'prefetch'],
    ['memory:place', 'memory'],
    ['http://h', 'known scheme'],
] as $at => $mistake) {
    [$config, $piece] = $mistake;
    $class = $mistake[2] ?? 'ConfigException';
    $said = configuring($config);
    check("mistake $at is a $class", str_starts_with($said, "Ferry\\$class: "), $said);
    holds("mistake $at", $piece, $said);
}

// A nested array that holds itself ends in an error, not in a crash; a key that is not UTF-8 is nobody's.
$circle = ['type' => 'redis'];
$circle['tls'] = &$circle;
check('a circle', configuring($one($circle)) !== 'nothing');
same('a key in bad UTF-8', 'nothing', configuring($one(['type' => 'memory', "\xff" => 1])));
holds('it is mentioned', 'is not read', implode(Queue::notices()));
check('a name in bad UTF-8', configuring(['connections' => ["\xff" => ['type' => 'sync']]]) !== '');

// Worker options.
Queue::configure('memory:');
foreach ([
    ['quue', 'did you mean `queue`'], ['maxJobs', 'max_jobs'], ['Tries', 'tries'], [0, 'no worker option `0`'], ["\xff", 'no worker option'],
] as [$option, $piece]) {
    holds("option $option", $piece, thrown(fn () => new Worker([$option => 1])));
}
foreach ([
    ['tries' => 'x'], ['tries' => -1], ['tries' => 1e30], ['tries' => []], ['sleep' => -1], ['sleep' => 'x'], ['sleep' => NAN], ['sleep' => INF], ['max_time' => []],
    ['prefetch' => 0], ['prefetch' => 10001], ['settle' => 'x'], ['on_return' => 5], ['log' => 'loud'], ['once' => []], ['handler' => 'no such'], ['job' => 5],
    ['handlers' => 'x'], ['handlers' => [5]], ['strict' => true], ['allowed_classes' => true], ['namespace' => []], ['queue' => [5]], ['queue' => "a\nb"], ['queue' => new stdClass()],
    ['delay' => 'soon'], ['memory' => 'lots'], ['connection' => 'nope'], ['connection' => []], ['connection' => new stdClass()],
] as $options) {
    $said = thrown(fn () => new Worker($options));
    check(json_encode($options, JSON_PARTIAL_OUTPUT_ON_ERROR) . ' is refused', is_a(strtok($said, ':'), Ferry\Exception::class, true), $said);
    check('and named', str_contains($said, key($options)) || str_contains($said, 'not configured'), $said);
}
foreach ([5, 'x', new stdClass(), true] as $options) {
    holds('options that are no array', 'are an array', thrown(fn () => new Worker($options)));
}
foreach ([null, [], ['tries' => null, 'queue' => null], ['tries' => '3', 'sleep' => '0.5', 'once' => 'yes', 'memory' => '128', 'queue' => ['a', 'b'], 'connection' => 'default']] as $options) {
    same('good options', 'nothing', thrown(fn () => new Worker($options)));
}

// Events.
$worker = new Worker();
holds('an unknown event', 'did you mean `processed`', thrown(fn () => $worker->on('procesed', fn () => 1)));
holds('an unknown event', 'no worker event', thrown(fn () => $worker->on("\xff", fn () => 1)));
holds('no callable', 'not callable', thrown(fn () => $worker->on('failed', 'no such function')));
done();
?>
--EXPECT--
ok
