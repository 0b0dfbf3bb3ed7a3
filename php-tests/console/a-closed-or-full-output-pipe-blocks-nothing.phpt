--TEST--
A master whose output nobody reads still handles signals; where the reader is gone, workers and masters finish their jobs and exit with 1
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$config = ['type' => 'sqlite', 'path' => temp_dir() . '/jobs.sqlite'];
$connection = use_broker($config);
$ferry = Ferry::on($config);
$book = new Book();
$loud = '--bootstrap=' . $book->bootstrap(<<<'PHP'
    class Loud { public function fire($job, $data) {
        note("loud $data by " . getmypid());
        for ($line = 0; $line < 4000; $line++) { echo str_repeat("$data", 1000), "\n"; }
        $job->delete();
        note("quiet $data by " . getmypid());
    } }
    PHP);

/** Starts it with a pipe as its standard output; answers the process and the end to read from. */
function piped(array $command, array $env): array
{
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', temp_dir() . '/piped.err', 'w']], $pipes, temp_dir(), $env + getenv());
    $pid = proc_get_status($process)['pid'];
    at_the_end(fn () => posix_kill($pid, SIGKILL));
    return [$process, $pid, $pipes[1]];
}

/** Waits for its end; the exit code. */
function ended($process): int
{
    $status = [];
    wait_until(function () use ($process, &$status) {
        $status = proc_get_status($process);
        return !$status['running'];
    }, 'it ends', 30);
    return $status['exitcode'];
}

$env = ['FERRY_URL' => Ferry::url($config)];
$words = ['work', '--queue=a', $loud, '--status=0'];

// Nobody reads, and the pipe is full: the workers wait, as they would without a master, and the master does not.
foreach (['x', 'y'] as $data) {
    $connection->push('Loud', $data, 'a');
}
[$process, $pid, $pipe] = piped($ferry->command([...$words, '--processes=2', '--log=none']), $env);
$book->waitFor('loud x by');
$book->waitFor('loud y by');
// Two loud jobs are 8 MB: more than the pipes and the master hold.
$busy = array_map('intval', array_map(fn ($line) => explode(' by ', $line)[1], $book->lines()));
wait_until(fn () => array_filter($busy, fn ($one) => !str_contains((string) @file_get_contents("/proc/$one/wchan"), 'pipe')) === [], 'both workers wait in a write');
check('no job is over', preg_grep('/^quiet/', $book->lines()) === []);
check('the master has a bounded memory', (int) preg_replace('/.*VmRSS:\s+(\d+).*/s', '$1', file_get_contents("/proc/$pid/status")) < 100_000);
posix_kill($pid, SIGTERM);
same('TERM is followed', 0, ended($process));
same('the jobs were finished', 2, count(preg_grep('/^quiet/', $book->lines())));
same('none is left', 0, $connection->size('a'));
holds('what is not there is said', 'bytes of output were discarded', file_get_contents(temp_dir() . '/piped.err'));
fclose($pipe);

// A slow reader gets every line.
$connection->push('Loud', 'z', 'a');
[$process, $pid, $pipe] = piped($ferry->command([...$words, '--processes=1', '--stop-when-empty', '--log=none']), $env);
$book->waitFor('loud z by');
same('all lines, whole', [str_repeat('z', 1000) => 4000], array_count_values(explode("\n", rtrim(stream_get_contents($pipe), "\n"))));
same('then it ends', 0, ended($process));

// The reader is gone before the first line, as in `ferry work | true`.
foreach (['a worker' => [], 'a master' => ['--processes=2']] as $what => $more) {
    $connection->push('Note', $what, 'a');
    [$process, $pid, $pipe] = piped($ferry->command(['work', '--queue=a', $loud, ...$more]), $env);
    fclose($pipe);
    same("$what without a reader exits with", 1, ended($process));
    $errors = file_get_contents(temp_dir() . '/piped.err');
    holds("$what says why", 'standard output was closed', $errors);
    check("$what: no exception", !str_contains($errors, 'xception'), $errors);
    check("$what: the job ran once or waits", count(preg_grep("/^$what by/", $book->lines())) + $connection->size('a') === 1, $book->lines());
    same("$what: no attempt is lost", 0, $connection->stats('a')['failed'] + $connection->stats('a')['reserved']);
    $connection->clear('a');
}

// Or in the middle of a job: the job is finished.
$connection->push('Held', temp_dir() . '/gate', 'a');
$connection->push('Note', 'next', 'a');
[$process, $pid, $pipe] = piped($ferry->command(['work', '--queue=a', $loud]), $env);
$book->waitFor("held by $pid");
fclose($pipe);
touch(temp_dir() . '/gate');
same('it exits with', 1, ended($process));
$book->waitFor("let go by $pid");
same('the next one waits', [1, 0], [$connection->stats('a')['ready'], $connection->stats('a')['failed']]);

// A master that was started without any descriptor works as others do: there is nobody to wait for.
foreach (['p', 'q'] as $data) {
    $connection->push('Loud', $data, 'b');
}
$command = implode(' ', array_map('escapeshellarg', $ferry->command(['work', '--queue=b', $loud, '--processes=2', '--stop-when-empty'])));
same('without descriptors', 0, $ferry->run_command(['sh', '-c', "exec $command <&- >&- 2>&-"])->code);
same('all was worked', [0, 0], [$connection->size('b'), $connection->stats('b')['failed']]);
done();
--EXPECT--
ok
