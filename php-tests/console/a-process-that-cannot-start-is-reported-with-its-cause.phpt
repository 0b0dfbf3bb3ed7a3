--TEST--
Exit code 255 is no signal, too few files are not too many processes, and work that is to end by itself ends although its processes fail
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$config = ['type' => 'sqlite', 'path' => temp_dir() . '/jobs.sqlite'];
$connection = use_broker($config);
$ferry = Ferry::on($config);

// PHP ends with 255 after a fatal error; that is not 128 + 127.
$fatal = bootstrap('if (preg_grep("/^--parent=/", $_SERVER["argv"]) !== []) { register_shutdown_function(fn () => exit(255)); }');
$connection->push('Nobody');
$said = $ferry->run(['work', '--processes=1', '--stop-when-empty', "--bootstrap=$fatal"]);
check('no signal', !str_contains($said->err, 'signal'), $said->err);
holds('it is told as it is', 'ended with exit code 255 after', $said->err);
holds('and after a while not tried again', 'failed 5 times in a row and is not started again', $said->err);
same('the code', 255, $said->code);

// Too few files: what is missing, what to do, and an end, however few of the last descriptors are left over. What this process inherited counts.
$open = count(scandir('/proc/self/fd')) - 3;
$words = implode(' ', array_map('escapeshellarg', $ferry->command(['work', '--processes=8', '--stop-when-empty', '--bootstrap=' . bootstrap('')])));
foreach (range($open + 14, $open + 16) as $limit) {
    $said = $ferry->run_command(['sh', '-c', "ulimit -n $limit; exec $words"]);
    same("with $limit it ends with", 1, $said->code);
    holds("with $limit: what is missing", 'Too many open files (raise `ulimit -n`; systemd: LimitNOFILE); it is not tried again', $said->err);
    check("with $limit: not processes", !str_contains($said->err, 'processes?'), $said->err);
}
done();
--EXPECT--
ok
