--TEST--
listen: a fresh PHP process for each job, whose output is passed on; what a process does never ends the listener
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$handlers = <<<'PHP'
    class Shouts { public function fire($job, $data) { echo "out $data\n"; fwrite(STDERR, "err $data\n"); $job->delete(); } }
    class Exits { public function fire($job, $data) { note("exits in attempt {$job->attempts()}"); exit(3); } }
    class Loops { public function fire($job, $data) { note("loops"); while (true); } }
    class Wedges { public function fire($job, $data) { note("wedges"); hash_pbkdf2("sha512", "one call", "that never comes back", 2_000_000_000); } }
    class Dies { public function fire($job, $data) { note("dies in attempt {$job->attempts()}"); posix_kill(getmypid(), SIGKILL); } }
    PHP;

foreach (shared_brokers(['retry_after' => 2]) as $name => $config) {
    $connection = use_broker($config);
    $book = new Book();
    $listener = Ferry::on($config)->start(['listen', '--bootstrap=' . $book->bootstrap($handlers), '--queue=a', '--sleep=1', '--tries=2', '--delay=0', '--timeout=1', '--grace=1']);

    foreach (['one', 'two', 'three'] as $data) {
        $connection->push('Note', $data, 'a');
    }
    $book->waitFor('three by');
    $pids = array_map(fn ($line) => explode(' by ', $line)[1], $book->lines());
    same("$name: a process each", 3, count(array_unique($pids)));
    same("$name: in order, one at a time", ['one', 'two', 'three'], array_map(fn ($line) => explode(' by ', $line)[0], $book->lines()));

    $connection->push('Shouts', 'loud', 'a');
    $listener->says("out loud\n");
    $listener->says('Processed:  Shouts');
    wait_until(fn () => str_contains($listener->err(), "err loud\n"), 'errors are passed on');

    // Jobs that end their process, run too long, cannot be stopped, or are killed.
    $connection->push('Exits', '', 'a');
    $book->waitFor('exits in attempt 2');
    wait_until(fn () => $connection->stats('a')['failed'] === 1, 'a job that exits is buried in its last attempt');
    $connection->push('Loops', '', 'a');
    wait_until(fn () => $connection->stats('a')['failed'] === 2, 'a job that loops is stopped twice and buried');
    $connection->push('Wedges', '', 'a');
    wait_until(fn () => $connection->stats('a')['failed'] === 3, 'a job that cannot be stopped is buried', 30);
    same("$name: reasons", ['timeout', 'timeout', 'exited'], array_column($connection->failed('a'), 'reason'));
    $connection->push('Dies', '', 'a');
    $book->waitFor('dies in attempt 2', 30);
    holds("$name: a killed process is told", 'was ended by signal 9', $listener->err());

    $connection->push('Note', 'still listening', 'a');
    $book->waitFor('still listening by', 30);
    check("$name: it is still there", $listener->isRunning());

    // TERM while a job runs: it is finished, then the listener leaves.
    $gate = temp_dir() . '/gate-' . bin2hex(random_bytes(4));
    $connection->clear('a');
    $connection->push('Held', $gate, 'a');
    $book->waitFor('held by');
    $listener->signal(SIGTERM);
    $listener->says('asked to stop');
    touch($gate);
    same("$name: left with", 0, $listener->wait());
    $book->waitFor('let go by');
    same("$name: no child is left", [], children_of($listener->pid));
}

// A process that never gets to work is killed, and the next one waits longer and longer.
$stuck = bootstrap('if (in_array("--parent", array_map(fn ($word) => explode("=", $word)[0], $argv ?? $_SERVER["argv"]))) { while (true); }');
$config = ['type' => 'sqlite', 'path' => temp_dir() . '/stuck.sqlite'];
$listener = Ferry::on($config)->start(['listen', "--bootstrap=$stuck", '--start-timeout=0.3']);
wait_until(fn () => substr_count($listener->err(), 'was not ready after') >= 2, 'it is killed, twice');
holds('the first time at once', 'the next one starts now', $listener->err());
wait_until(fn () => str_contains($listener->err(), 'the next one starts in 1 s'), 'then later');
check('the listener goes on', $listener->isRunning());
$listener->signal(SIGTERM);
$listener->wait();

// The same without a broker.
$listener = (new Ferry(['FERRY_URL' => 'redis://127.0.0.1:1']))->start(['listen']);
wait_until(fn () => str_contains($listener->err(), 'the next one starts in 1 s'), 'it tries again');
holds('the reason is told', 'Connection refused', $listener->err());
check('the listener goes on', $listener->isRunning());
$listener->signal(SIGINT);
same('and leaves with', 0, $listener->wait());
done();
--EXPECT--
ok
