--TEST--
The examples for Supervisor, systemd and a container do what they say
--SKIPIF--
<?php
require __DIR__ . '/skip.php';
needs_console('pcntl', 'posix');
if (trim((string) shell_exec('command -v supervisord')) === '' && !getenv('CI')) {
    die('skip needs supervisor');
}
?>
--FILE--
<?php
require __DIR__ . '/console.php';

/** An example with the places of this test instead of those of a server; answers where it lies. */
function example(string $name, array $places): string
{
    $text = file_get_contents(project("examples/operations/$name"));
    foreach ($places as $there => $here) {
        holds("$name says $there", $there, $text);
        $text = str_replace($there, $here, $text);
    }
    $file = temp_dir() . '/' . basename($name);
    file_put_contents($file, $text);
    return $file;
}

$config = ['type' => 'sqlite', 'path' => temp_dir() . '/jobs.sqlite'];
$connection = use_broker($config);
$book = new Book();
copy($book->bootstrap(), temp_dir() . '/boot.php');
// `php` with its flags and the console, as a command of one word.
$ferry = temp_dir() . '/ferry';
file_put_contents($ferry, "#!/bin/sh\nexec " . implode(' ', array_map('escapeshellarg', Ferry::on($config)->command([]))) . " \"\$@\"\n");
chmod($ferry, 0755);
$env = ['FERRY_URL' => Ferry::url($config)];

/** A job that holds its worker until it is let go. */
$hold = function () use ($connection, $book): string {
    $gate = temp_dir() . '/gate-' . bin2hex(random_bytes(4));
    $before = count(preg_grep('/^held by/', $book->lines()));
    $connection->push('Held', $gate);
    wait_until(fn () => count(preg_grep('/^held by/', $book->lines())) > $before, 'a job is held');
    return $gate;
};
$is_let_go = fn (int $times) => wait_until(fn () => count(preg_grep('/^let go by/', $book->lines())) === $times, "the job is let go, $times times");

// Supervisor, the real one.
$socket = temp_dir() . '/supervisor.sock';
$program = example('supervisor.conf', [
    '/usr/bin/php /srv/app/vendor/bin/ferry' => $ferry,
    'directory=/srv/app' => 'directory=' . temp_dir(),
    "user=www-data\n" => '',
    '/var/log/ferry.log' => temp_dir() . '/ferry.log',
    'autorestart=true' => 'autorestart=true',
]);
$conf = temp_dir() . '/supervisord.conf';
file_put_contents($conf, strtr(<<<'INI'
    [unix_http_server]
    file=SOCKET
    [supervisord]
    nodaemon=true
    logfile=DIR/supervisord.log
    pidfile=DIR/supervisord.pid
    [rpcinterface:supervisor]
    supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
    [supervisorctl]
    serverurl=unix://SOCKET
    [include]
    files=PROGRAM
    INI, ['SOCKET' => $socket, 'DIR' => temp_dir(), 'PROGRAM' => $program]));
$supervisor = Child::start(['supervisord', '-c', $conf], temp_dir() . '/supervisord', $env);
$ctl = function (string ...$words) use ($conf): string {
    exec(implode(' ', array_map('escapeshellarg', ['supervisorctl', '-c', $conf, ...$words])) . ' 2>&1', $lines);
    return implode("\n", $lines);
};
$pid = 0;
wait_until(function () use ($ctl, &$pid) {
    preg_match('/ferry +RUNNING +pid (\d+)/', $ctl('status'), $found);
    return $pid = (int) ($found[1] ?? 0);
}, 'Supervisor runs it', 30);
$workers = [];
wait_until(function () use (&$workers, &$pid) {
    return count($workers = children_of($pid)) === 4;
}, 'four workers', 30);
$connection->push('Note', 'supervised');
$book->waitFor('supervised by');
wait_until(fn () => count($connection->workers()) === 4, 'all report');
$ctl('signal', 'HUP', 'ferry');
wait_until(fn () => array_intersect(children_of($pid), $workers) === [] && count(children_of($pid)) === 4, 'they were replaced', 30);
// The master is killed: Supervisor starts another one, the workers of the first leave.
posix_kill($pid, SIGKILL);
$old = $pid;
wait_until(function () use ($ctl, &$pid, $old) {
    preg_match('/ferry +RUNNING +pid (\d+)/', $ctl('status'), $found);
    return ($pid = (int) ($found[1] ?? 0)) !== 0 && $pid !== $old;
}, 'Supervisor runs another one', 30);
wait_until(fn () => count(children_of($pid)) === 4, 'four workers again', 30);
$gate = $hold();
$stop = Child::start(['supervisorctl', '-c', $conf, 'stop', 'ferry'], temp_dir() . '/stop');
wait_until(fn () => count(children_of($pid)) === 1, 'all but the busy one leave', 30);
touch($gate);
$is_let_go(1);
same('stopped', 0, $stop->wait());
holds('as Supervisor sees it', 'STOPPED', $ctl('status'));
$supervisor->signal(SIGTERM);
$supervisor->wait();

// systemd reads the unit without a complaint.
if (trim((string) shell_exec('command -v systemd-analyze')) !== '') {
    $unit = example('ferry.service', ['/usr/bin/php /srv/app/vendor/bin/ferry' => $ferry, '/srv/app' => temp_dir(), 'www-data' => 'root']);
    exec('systemd-analyze verify ' . escapeshellarg($unit) . ' 2>&1', $lines, $code);
    same('systemd-analyze verify', [0, []], [$code, array_values(preg_grep('/ferry\.service/', $lines))]);
}

// A container: the entrypoint becomes the first process of its own world, where the kernel lets us make one.
$entrypoint = example('container/entrypoint.sh', ['php "$ferry"' => '"$ferry"', '/srv/app/vendor/bin/ferry' => $ferry, '/srv/app/boot.php' => temp_dir() . '/boot.php']);
exec('unshare --pid --fork --mount-proc true 2>&1', $none, $refused);
$world = $refused === 0 ? ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] : [];
file_put_contents(temp_dir() . '/boot.php', <<<'PHP'

    class Leaves { public function fire($job, $data) {
        // A process whose parent ends: the first process of the container inherits it.
        exec('sh -c "sleep 0.05 &" >/dev/null 2>&1');
        note('an orphan');
        $job->delete();
    } }
    PHP, FILE_APPEND);
$container = Child::start([...$world, 'sh', $entrypoint, '--status=0'], temp_dir() . '/container', $env);
$connection->push('Leaves');
$book->waitFor('an orphan');
$first = $refused === 0 ? children_of($container->pid)[0] : $container->pid;
wait_until(fn () => count(children_of($first)) === 2, 'the two workers are the only living children');
$zombies = fn () => array_filter(glob('/proc/[0-9]*/stat'), fn ($file) => preg_match("/\) Z $first /", (string) @file_get_contents($file)));
wait_until(fn () => $zombies() === [], 'no orphan stays as a zombie');
foreach (array_filter(explode("\n", $container->out())) as $line) {
    check('JSON in a line', is_array(json_decode($line, true)), $line);
}
$gate = $hold();
posix_kill($first, SIGTERM);
wait_until(fn () => str_contains($container->out(), 'asked to stop'), 'TERM is heard');
touch($gate);
$is_let_go(2);
same('left with', 0, $container->wait());
// Any other command.
$said = Ferry::on($config)->run_command(['sh', $entrypoint, 'size', '--json'])->well('another command');
same('empty', 0, $said->json()[0]['size']);
done();
--EXPECT--
ok
