--TEST--
Signal handlers that PHP code set with pcntl win over ours, run while the worker waits, and stay afterwards
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$prelude = <<<'PHP'
class Deletes { public function fire($job, $data) { if (is_callable($data)) { $data(); } $job->delete(); echo "ran\n"; } }
Ferry\Queue::configure('memory:');
$worker = new Ferry\Worker(['log' => 'none']);
$worker->on('looping', function () { static $told = false; if (!$told) { $told = true; echo "looping\n"; } });
PHP;

// As in every tutorial, with and without pcntl_async_signals.
foreach (['pcntl_async_signals(true);', ''] as $async) {
    $child = Child::php("$prelude $async\npcntl_signal(SIGTERM, function () use (\$worker) { echo \"handler\\n\"; \$worker->stop(); });\nexit(\$worker->run() + 3);");
    $child->says("looping\n");
    $begun = clock();
    $child->signal(SIGTERM);
    same("code $async", 3, $child->wait());
    check("within a second $async", clock() - $begun < 1.0);
    same("said $async", "looping\nhandler\n", $child->out());
}

// A handler that throws: its exception ends run() and reaches the caller.
$child = Child::php("$prelude pcntl_signal(SIGUSR1, fn () => throw new DomainException('from a signal'));\ntry { \$worker->run(); } catch (DomainException \$e) { echo \$e->getMessage(), \"\\n\"; exit(5); }");
$child->says("looping\n");
$child->signal(SIGUSR1);
same('a throwing handler', [5, "looping\nfrom a signal\n"], [$child->wait(), $child->out()]);

// A handler that exits.
$child = Child::php("$prelude pcntl_signal(SIGUSR1, fn () => exit(6));\n\$worker->run();");
$child->says("looping\n");
$child->signal(SIGUSR1);
same('an exit in a signal handler', 13, $child->wait());

// SIGALRM and SIGCHLD are not ours; the worker goes on.
$child = Child::php("$prelude pcntl_async_signals(true); pcntl_signal(SIGALRM, function () use (\$worker) { echo \"alarm\\n\"; Ferry\\Queue::push('Deletes'); \$worker->on('processed', fn () => \$worker->stop()); });\npcntl_alarm(1);\nexit(\$worker->run());");
same('an alarm that pushes a job', [0, "looping\nalarm\nran\n"], [$child->wait(), $child->out()]);

// Ignored signals stay ignored, and after run() the defaults are back.
$child = Child::php("$prelude pcntl_signal(SIGINT, SIG_IGN);\n\$worker->run();");
$child->says("looping\n");
$child->signal(SIGINT);
$child->signal(SIGTERM);
same('SIGINT was ignored, SIGTERM not', 0, $child->wait());
$child = Child::php("$prelude Ferry\\Queue::push('Deletes'); \$worker->on('processed', fn () => \$worker->stop()); \$worker->run(); echo \"after\\n\"; wait_until(fn () => false, 'killed');");
$child->says("after\n");
$child->signal(SIGTERM);
same('after run() SIGTERM kills as before', 128 + SIGTERM, $child->wait());

// A handler set inside a job stays after run().
$child = Child::php("$prelude Ferry\\Queue::push('Sets'); class Sets { function fire(\$job) { pcntl_signal(SIGTERM, function () { echo \"own\\n\"; exit(8); }); \$job->delete(); } } \$worker->on('processed', fn () => \$worker->stop()); \$worker->run(); echo \"after\\n\"; pcntl_async_signals(true); wait_until(fn () => false, 'told');");
$child->says("after\n");
$child->signal(SIGTERM);
same('a handler that a job set', [8, "looping\nafter\nown\n"], [$child->wait(), $child->out()]);
done();
?>
--EXPECT--
ok
