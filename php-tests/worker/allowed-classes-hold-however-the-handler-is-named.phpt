--TEST--
allowed_classes hold for object jobs however their handler is named: Ferry's name, more backslashes, a subclass, an alias, a factory
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

class Good { public function handle() { $GLOBALS['said'][] = 'good'; } }
class Evil { public $x; public function __wakeup() { $GLOBALS['said'][] = 'EVIL'; } public function handle() { $GLOBALS['said'][] = 'EVIL'; } }
class Sub extends Ferry\CallQueuedHandler {}
class_alias('Sub', 'Other');

Ferry\Queue::configure('memory:');

function work(string $job, string $class, array $options): array
{
    Ferry\Queue::connection()->clear();
    Ferry\Queue::forgetFailed('all');
    $GLOBALS['said'] = [];
    $data = ['commandName' => $class, 'command' => "O:" . strlen($class) . ":\"$class\":0:{}"];
    Ferry\Queue::pushRaw(json_encode(['job' => $job, 'maxTries' => null, 'timeout' => null, 'data' => $data, 'id' => 'i', 'attempts' => 0]));
    (new Ferry\Worker($options + ['tries' => 1, 'log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]))->run();
    return [...$GLOBALS['said'], ...array_column(Ferry\Queue::failed(), 'reason')];
}
$names = [
    'think\queue\CallQueuedHandler@call', 'Ferry\CallQueuedHandler@call', '\think\queue\CallQueuedHandler@call',
    '\\\\\think\queue\CallQueuedHandler@call', 'THINK\queue\callqueuedhandler@CALL', '\\\\Ferry\CallQueuedHandler@call', '\\\\ferry\CALLQUEUEDHANDLER@call',
    'Sub@call', '\\\\Sub@call', 'Other@call',
];
foreach ($names as $name) {
    same("$name, allowed", ['good'], work($name, 'Good', ['allowed_classes' => ['Good']]));
    same("$name, not allowed", ['no_handler'], work($name, 'Evil', ['allowed_classes' => ['Good']]));
    check("$name, strict", !in_array('EVIL', work($name, 'Evil', ['allowed_classes' => ['Good'], 'handlers' => ['Good'], 'strict' => true])));
}
same('a factory', ['no_handler'], work('Anything@call', 'Evil', ['allowed_classes' => ['Good'], 'handler' => fn () => new Ferry\CallQueuedHandler]));
same('without a list', ['EVIL', 'EVIL'], work('\\\\Ferry\CallQueuedHandler@call', 'Evil', []));

// The name of any handler is normalised, in the job and in the list.
class Plain { public function fire($job, $data) { $GLOBALS['said'][] = 'plain'; $job->delete(); } }
same('more backslashes', ['plain'], work('\\\\\Plain', 'x', []));
same('in a strict list', ['plain'], work('\\\\Plain', 'x', ['handlers' => ['\Plain' => 'Plain'], 'strict' => true]));

// A worker says so when it starts.
$said = function (array $options): string {
    ob_start();
    (new Ferry\Worker($options + ['status' => 60, 'stop_when_empty' => true, 'sleep' => 0]))->run();
    return ob_get_clean();
};
holds('the banner', 'object_jobs any class', $said([]));
check('not with a list', !str_contains($said(['allowed_classes' => []]), 'any class'));
done();
?>
--EXPECT--
ok
