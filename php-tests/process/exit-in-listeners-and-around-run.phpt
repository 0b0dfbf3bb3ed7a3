--TEST--
exit() in a listener, in failed() and in push leaves every job where it belongs
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$handlers = <<<'PHP'
class Deletes { function fire($job, $data) { $job->delete(); } }
class Throws { function fire($job, $data) { throw new RuntimeException('boom'); } function failed($data, $e) { if ($data === 'exit') { exit(7); } if ($data === 'fatal') { trigger_error('fatal', E_USER_ERROR); } } }
class Exits { function fire($job, $data) { exit(9); } }
function settle(array $options, string $event = null, ?callable $listener = null) {
    $worker = new Ferry\Worker($options + ['log' => 'none', 'stop_when_empty' => true, 'delay' => 60]);
    if ($event !== null) { $worker->on($event, $listener); }
    exit($worker->run());
}
PHP;
$say = function (string $what, string $work, int $code, string $states) use ($handlers) {
    static $number = 0;
    $path = temp_dir() . '/exit-' . ++$number . '.sqlite';
    $child = Child::php("$handlers\n$work", [], ['FERRY_URL' => "sqlite:$path"]);
    same("$what: exit code", $code, $child->wait());
    same("$what: states", $states, implode('/', (new Ferry\Connection("sqlite:$path"))->stats()));
    return $child;
};
$push = 'Ferry\Queue::push("Deletes"); Ferry\Queue::push("Deletes");';
$say('exit in processing', "$push settle([], 'processing', fn () => exit(5));", 13, '2/0/0/0');
$say('exit in processed', "$push settle([], 'processed', fn () => exit(5));", 13, '1/0/0/0');
$say('exit in looping', "$push settle([], 'looping', fn () => exit(5));", 13, '2/0/0/0');
$say('exit in stopping', "$push settle([], 'stopping', fn () => exit(5));", 13, '0/0/0/0');
$say('a fatal error in processing', "$push settle([], 'processing', fn () => trigger_error('x', E_USER_ERROR));", 13, '2/0/0/0');
$say('a fatal error in processed', "$push settle([], 'processed', fn () => trigger_error('x', E_USER_ERROR));", 13, '1/0/0/0');
$say('exit in failed()', 'Ferry\Queue::push("Throws", "exit"); Ferry\Queue::push("Deletes"); settle(["tries" => 1]);', 13, '1/0/0/1');
$say('a fatal error in failed()', 'Ferry\Queue::push("Throws", "fatal"); Ferry\Queue::push("Deletes"); settle(["tries" => 1]);', 13, '1/0/0/1');
$say('exit in the handler of process()', 'Ferry\Queue::push("Exits"); (new Ferry\Worker(["log" => "none", "delay" => 60]))->process();', 13, '0/1/0/0');
$say('exit in jsonSerialize()', 'class J implements JsonSerializable { function jsonSerialize(): mixed { exit(6); } } Ferry\Queue::push("Deletes"); Ferry\Queue::push("Deletes", new J());', 6, '1/0/0/0');
$say('a fatal error in jsonSerialize()', 'class J implements JsonSerializable { function jsonSerialize(): mixed { trigger_error("x", E_USER_ERROR); } } Ferry\Queue::push("Deletes"); Ferry\Queue::push("Deletes", new J());', 255, '1/0/0/0');
$say('exit in __toString of a queue name', 'class S { function __toString(): string { exit(8); } } Ferry\Queue::push("Deletes", 1, new S());', 8, '0/0/0/0');
$say('exit in a popped job', 'Ferry\Queue::push("Exits"); Ferry\Queue::pop()->fire();', 9, '0/0/1/0');
$say('an uncaught exception from run()', "$push settle([], 'processed', fn () => throw new DomainException('out'));", 255, '1/0/0/0');
$say('a push in a shutdown function', 'register_shutdown_function(fn () => Ferry\Queue::push("Deletes")); Ferry\Queue::push("Exits"); settle(["tries" => 1]);', 13, '1/0/0/1');
$say('a push in a destructor at the end', 'class D { function __destruct() { Ferry\Queue::push("Deletes"); } } $d = new D(); Ferry\Queue::push("Deletes");', 0, '2/0/0/0');
$say('a worker and jobs alive at the end', 'Ferry\Queue::push("Deletes"); $worker = new Ferry\Worker(["log" => "none"]); $job = Ferry\Queue::pop(); $worker->on("failed", fn () => $worker);', 0, '0/0/1/0');

// A sync connection: the caller's process ends as PHP has it, with the handler's own code.
$child = Child::php("$handlers\nFerry\\Queue::configure('sync:'); Ferry\\Queue::push('Exits'); echo 'not reached';");
same('exit in a sync job', [9, ''], [$child->wait(), $child->out()]);
$child = Child::php("$handlers\nclass F { function fire() { trigger_error('x', E_USER_ERROR); } } Ferry\\Queue::configure('sync:'); Ferry\\Queue::push('F'); echo 'not reached';");
same('a fatal error in a sync job', [255, ''], [$child->wait(), $child->out()]);
done();
?>
--EXPECT--
ok
