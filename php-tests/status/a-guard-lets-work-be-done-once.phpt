--TEST--
Ferry\Guard does work once: claims, results, exceptions, exits, leases, fencing and bad input, on every driver
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';
require_once __DIR__ . '/../support/child.php';

use Ferry\Guard;

final class Loud implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        throw new LogicException('not me');
    }
}

foreach (brokers() as $name => $config) {
    $connection = use_broker($config);
    $guard = new Guard();
    $calls = 0;
    $work = function () use (&$calls) { return ['call' => ++$calls, 'o' => new stdClass()]; };
    check("$name: done", $guard->once('a', $work)['o'] instanceof stdClass);
    same("$name: kept, objects as arrays", ['call' => 1, 'o' => []], $guard->once('a', $work));
    same("$name: another guard of the connection", ['call' => 1, 'o' => []], (new Guard($connection))->once('a', $work));
    same("$name: by name", ['call' => 1, 'o' => []], (new Guard('broker'))->once('a', $work));
    same("$name: called once", 1, $calls);
    same("$name: isDone", [true, false], [$guard->isDone('a'), $guard->isDone('b')]);
    same("$name: forgotten", [true, false, 2], [$guard->forget('a'), $guard->forget('a'), $guard->once('a', $work)['call']]);
    foreach ([null, 0, '', false, 'ü', 1.5, []] as $n => $value) {
        same("$name: value $n", [$value, $value], [$guard->once("v$n", fn () => $value), $guard->once("v$n", fn () => 'again')]);
    }

    // What is thrown gives the claim up.
    same("$name: thrown", 'DomainException: no', thrown(fn () => $guard->once('t', fn () => throw new DomainException('no'))));
    same("$name: and tried again", 'yes', $guard->once('t', fn () => 'yes'));

    // Inside the work the key is held.
    $inner = fn () => thrown(fn () => $guard->once('n', fn () => 1));
    holds("$name: busy", 'Ferry\BusyException: somebody else is at the work `n`', $guard->once('n', $inner));

    // Values that cannot be kept are the first caller's.
    same("$name: too long", [70000, null], [strlen($guard->once('long', fn () => str_repeat('x', 70000))), $guard->once('long', fn () => 'again')]);
    check("$name: no JSON", is_nan($guard->once('nan', fn () => NAN)) && $guard->once('nan', fn () => 'again') === null);
    same("$name: code that throws", 'LogicException: not me', thrown(fn () => $guard->once('loud', fn () => new Loud())));
    check("$name: it is done nevertheless", $guard->isDone('loud'));

    // The words below.
    $token = $guard->claim('w');
    check("$name: a token", is_string($token) && strlen($token) === 32, $token);
    same("$name: held", [null, false, false], [$guard->claim('w'), $guard->complete('w', 'other'), $guard->release('w', "\xff")]);
    same("$name: released", [true, false], [$guard->release('w', $token), $guard->release('w', $token)]);
    $token = $guard->claim('w');
    same("$name: completed, twice if need be", [true, true, false], [$guard->complete('w', $token, ['r' => 1]), $guard->complete('w', $token, ['r' => 1]), $guard->release('w', $token)]);
    same("$name: its result", [null, ['r' => 1]], [$guard->claim('w'), $guard->once('w', fn () => 'again')]);
    holds("$name: a result that is too long", 'at most 65536', thrown(fn () => $guard->complete('w', $token, str_repeat('x', 70000))));

    // A lease that ends: another claims it, and the first can neither complete nor release.
    $brief = new Guard(null, 60, 1);
    $stale = $brief->claim('l');
    same("$name: not before", null, $brief->claim('l'));
    $fresh = null;
    wait_until(function () use ($brief, &$fresh) { return ($fresh = $brief->claim('l')) !== null; }, 'the lease ends', 5);
    same("$name: fenced", [false, false, true], [$brief->complete('l', $stale, 1), $brief->release('l', $stale), $brief->complete('l', $fresh, 2)]);
    $slow = function () use ($brief) {
        wait_until(fn () => $brief->claim('s') !== null, 'somebody else claims it', 5);
    };
    holds("$name: outrun", 'Ferry\LostReservation: the work `s` took longer than its lease of 1 s', thrown(fn () => $brief->once('s', $slow)));

    // Bad input.
    foreach (['' => 'is empty', "a\nb" => 'control', "\xff" => 'not UTF-8', str_repeat('x', 256) => '256 bytes'] as $key => $what) {
        holds("$name: bad key", $what, thrown(fn () => $guard->once($key, fn () => 1)));
        holds("$name: bad key", 'Ferry\InvalidArgumentException', thrown(fn () => $guard->claim($key)));
    }
    holds("$name: not callable", 'not callable', thrown(fn () => $guard->once('x', 'no_such_function')));
    holds("$name: no claim is left of that", 'fine', $guard->once('x', fn () => 'fine'));
}
foreach ([[0, 1], [1, 0], [-1, 1], [1, PHP_INT_MAX]] as [$ttl, $lease]) {
    holds("ttl $ttl, lease $lease", 'must be from 1 to', thrown(fn () => new Guard(null, $ttl, $lease)));
}
holds('unknown connection', 'Ferry\ConfigException', thrown(fn () => new Guard('nope')));
holds('no connection', 'Ferry\InvalidArgumentException', thrown(fn () => new Guard(7)));
Ferry\Queue::configure(['connections' => ['a' => ['type' => 'sync']]]);
holds('no place', '`control`', thrown(fn () => (new Guard())->claim('k')));

// A process that dies in the work leaves the claim until its lease ends; a child that is forked in it completes nothing.
$server = RedisServer::start();
$url = "redis://127.0.0.1:{$server->config()['port']}";
Ferry\Queue::configure($url);
$guard = new Guard(null, 60, 2);
$endings = ['exit' => 'exit(3);', 'fatal' => 'ini_set("memory_limit", "16M"); str_repeat("x", 1 << 30);', 'kill' => 'posix_kill(getmypid(), 9);'];
foreach ($endings as $how => $code) {
    $child = Child::php("(new Ferry\Guard(null, 60, 2))->once('$how', function () { $code });", [], ['FERRY_URL' => $url]);
    check("$how: it ended badly", $child->wait() !== 0);
    same("$how: not done", false, $guard->isDone($how));
    holds("$how: claimed for a while", 'Ferry\BusyException', thrown(fn () => $guard->once($how, fn () => 1)));
}
wait_until(fn () => $guard->claim('kill') !== null, 'the claim lapses', 5);
$pid = null;
$answer = $guard->once('fork', function () use (&$pid) {
    $pid = pcntl_fork();
    return $pid === 0 ? 'child' : reap($pid);
});
if ($pid === 0) {
    // The claim is the parent's, who is still at it.
    exit($answer === 'child' && (new Guard())->isDone('fork') === false ? 0 : 1);
}
same('the child completes nothing', [0, 0], [$answer, $guard->once('fork', fn () => 'again')]);

// Of ten at once one does it.
$code = 'try { echo (new Ferry\Guard())->once("race", function () { usleep(200000); return "did"; }); } catch (Ferry\BusyException) { echo "busy"; }';
$children = array_map(fn () => Child::php($code, [], ['FERRY_URL' => $url]), range(1, 10));
array_map(fn ($child) => $child->wait(), $children);
$redis = $server->client();
same('one claim', 'did', json_decode($redis->hGet('{ferry}:once:race', 'result')));
$said = array_count_values(array_map(fn ($child) => $child->out(), $children));
same('nothing else was said', 10, ($said['did'] ?? 0) + ($said['busy'] ?? 0));
done();
?>
--EXPECT--
ok
