--TEST--
A fatal error or an exit() in a logger, an autoloader, __toString or failed() ends PHP, runs no further code of the user and no further job
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$begin = <<<'PHP'
Ferry\Queue::configure('memory:');
class Work
{
    public function fire($job, $data)
    {
        echo "fire $data\n";
        if ($data === 'throw') {
            throw new Exception('boom');
        }
        $job->delete();
    }
    public function failed($data, $e)
    {
        throw new class('from failed()') extends Exception {
            public function __toString(): string { ($GLOBALS['shown'] ?? fn () => null)(); return 'shown'; }
        };
    }
}
class Logger
{
    public function log($level, $message, $context)
    {
        if (str_contains($message, 'failed()')) {
            echo "logger\n";
            ($GLOBALS['logged'] ?? fn () => null)();
        }
    }
}
$options = ['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0, 'tries' => 1, 'prefetch' => 1];
PHP;
$end = <<<'PHP'
Ferry\Queue::push('Work', 'throw');
Ferry\Queue::push('Work', 'next');
try {
    $code = (new Ferry\Worker($options))->run();
    echo "run $code\n";
} catch (Throwable $e) {
    echo 'THROWN ', $e->getMessage(), "\n";
}
echo "after the run\n";
PHP;
$fatal = 'fn () => trigger_error("fatal", E_USER_ERROR)';
$cases = [
    // what is set up, exit code, what is said
    'fatal in an autoloader' => ["spl_autoload_register(function (\$class) { if (\$class === 'think\\queue\\Job') { ($fatal)(); } });", 13, ''],
    'exit in an autoloader' => ['spl_autoload_register(function ($class) { if ($class === "think\queue\Job") { exit(8); } });', null, ''],
    'an autoloader that throws' => ['spl_autoload_register(function ($class) { if ($class === "think\queue\Job") { throw new Exception; } });', 0, "fire throw\nfire next\nrun 0\nafter the run\n"],
    'fatal in __toString' => ["\$shown = $fatal;", null, "fire throw\n"],
    'exit in __toString' => ['$shown = fn () => exit(6);', null, "fire throw\n"],
    'fatal in a logger' => ["\$options['log'] = new Logger; \$logged = $fatal;", null, "fire throw\nlogger\n"],
    'exit in a logger' => ['$options["log"] = new Logger; $logged = fn () => exit(8);', null, "fire throw\nlogger\n"],
    'a logger that throws' => ['$options["log"] = new Logger; $logged = fn () => throw new Exception("logged");', 0, "fire throw\nlogger\nTHROWN logged\nafter the run\n"],
];
foreach ($cases as $name => [$setup, $code, $said]) {
    $child = Child::php("$begin\n$setup\n$end");
    $ended = $child->wait();
    check("$name: exit code", $code === null ? $ended !== 0 && ($ended < 128 || $ended === 255) : $ended === $code, $ended . $child->err());
    same("$name: said", $said, $child->out());
}

// Inside a sync push, and in a shutdown function after a fatal error.
$child = Child::php(<<<'PHP'
Ferry\Queue::configure(['default' => 's', 'connections' => ['s' => ['type' => 'sync'], 'm' => ['type' => 'memory']]]);
class Dies { public function fire($job, $data) { trigger_error('fatal', E_USER_ERROR); } }
class Works { public function fire($job, $data) { echo "works\n"; } }
register_shutdown_function(function () {
    Ferry\Queue::push('Works');
    Ferry\Queue::connection('m')->push('Works');
    echo (new Ferry\Worker(['connection' => 'm', 'log' => 'none', 'stop_when_empty' => true, 'sleep' => 0, 'on_return' => 'delete']))->run(), "\n";
});
Ferry\Queue::push('Dies');
echo "AFTER\n";
PHP);
same('sync: exit code', 255, $child->wait());
same('sync: a shutdown function works', "works\nworks\n0\n", $child->out());
done();
?>
--EXPECT--
ok
