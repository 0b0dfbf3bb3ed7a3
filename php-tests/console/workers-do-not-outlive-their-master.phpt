--TEST--
kill -9 of a master: its workers finish their jobs, lose none, and leave; a master without pcntl says what it cannot do
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

/** Which of them are there. */
function alive(array $pids): array
{
    return array_values(array_filter($pids, fn ($pid) => posix_kill($pid, 0) && !str_contains((string) @file_get_contents("/proc/$pid/stat"), ') Z ')));
}

foreach (shared_brokers() as $name => $config) {
    $connection = use_broker($config);
    $book = new Book();
    $gate = temp_dir() . '/gate-' . bin2hex(random_bytes(4));
    $master = Ferry::on($config)->start(['work', '--processes=3', '--bootstrap=' . $book->bootstrap(), '--queue=a']);
    $children = wait_for_children($master, 3);
    $connection->push('Held', $gate, 'a');
    $book->waitFor('held by');
    $busy = (int) substr($book->lines()[0], strlen('held by '));

    $master->signal(SIGKILL);
    $master->wait();
    wait_until(fn () => alive($children) === [$busy], 'the idle ones leave');
    // It prints that the job is processed, to a pipe that nobody reads; that ends nothing.
    touch($gate);
    wait_until(fn () => alive($children) === [], 'the busy one leaves after its job');
    $book->waitFor("let go by $busy");
    same("$name: the job ran once and is gone", [2, 0], [count($book->lines()), array_sum($connection->stats('a'))]);
}

// The window is closed: for a master on a terminal HUP is the end, for its workers too.
$book = new Book();
$config = ['type' => 'sqlite', 'path' => temp_dir() . '/window.sqlite'];
$command = implode(' ', array_map('escapeshellarg', Ferry::on($config)->command(['work', '--processes=2', '--bootstrap=' . $book->bootstrap()])));
$window = Child::start(['script', '-qefc', "exec $command", '/dev/null'], temp_dir() . '/window', ['FERRY_URL' => Ferry::url($config)]);
wait_until(fn () => substr_count($window->out(), ' starts: ') === 2, 'two workers start');
$master = children_of($window->pid);
$all = array_merge($master, ...array_map('children_of', $master));
same('a master and two workers', 3, count($all));
$window->signal(SIGKILL);
$window->wait();
wait_until(fn () => alive($all) === [], 'all of them leave');

// A master that hears no signal.
$book = new Book();
$config = ['type' => 'sqlite', 'path' => temp_dir() . '/deaf.sqlite'];
$master = Ferry::on($config)->withFlags(['-d', 'disable_functions=pcntl_signal'])->start(['work', '--processes=2', '--bootstrap=' . $book->bootstrap(), '--queue=a']);
$children = wait_for_children($master, 2);
holds('it says so', 'this PHP has no pcntl, so the master cannot handle signals', $master->err());
use_broker($config)->push('Note', 'deaf', 'a');
$book->waitFor('deaf by');
$master->signal(SIGTERM);
same('it ends by the signal', 128 + SIGTERM, $master->wait());
wait_until(fn () => alive($children) === [], 'its workers leave');
done();
--EXPECT--
ok
