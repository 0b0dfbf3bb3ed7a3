--TEST--
work: every option of a worker and of think-queue, options and listeners of the bootstrap file, exit codes
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

foreach (shared_brokers() as $name => $config) {
    $connection = use_broker($config);
    $book = new Book();
    $ferry = Ferry::on($config);
    $boot = '--bootstrap=' . $book->bootstrap(<<<'PHP'
        class Throws { public function fire($job, $data) { note("throws in attempt {$job->attempts()}"); throw new Exception("no $data"); } }
        class Exits { public function fire($job, $data) { exit(5); } }
        class Eats { public function fire($job, $data) { $GLOBALS["eaten"] = str_repeat("x", 40 << 20); $job->delete(); } }
        class Wedges { public function fire($job, $data) { hash_pbkdf2("sha512", "one call", "that never comes back", 2_000_000_000); } }
        PHP);

    // All of think-queue's options at once, with values that are its defaults.
    $think = ['--daemon', '--force', '--delay=0', '--memory=128', '--timeout=60', '--sleep=3', '--tries=0', '--queue=a'];
    $connection->push('Note', 'old habits', 'a');
    $said = $ferry->run(['work', ...$think, '--stop-when-empty', $boot])->well("$name: think-queue's options");
    holds("$name: their line", 'Processed:  Note', $said->out);
    holds("$name: what is in force", 'tries unlimited, timeout 60 s', $said->out);

    // All of ours.
    $ours = ['--backoff=base:1,cap:2,jitter:0.5', '--warn-before=1', '--grace=5', '--stop-timeout=5', '--max-jobs=9', '--max-time=60', '--max-lease=600', '--max-outage=30',
        '--health-file=' . temp_dir() . '/health', '--prefetch=8', '--settle=immediate', '--on-return=delete', '--log=json', '--log-level=notice', '--status=1', '--namespace=app', '--handlers=n=Note', '--strict', '--allowed-classes=Note'];
    $connection->push('n', 'by its short name', 'a');
    $connection->push('Note', 'by a name that is not listed', 'a');
    $said = $ferry->run(['work', ...$ours, '--queue=a', '--stop-when-empty', $boot]);
    same("$name: our options: exit code", 0, $said->code);
    same("$name: only the listed one ran", 1, count(preg_grep('/^by its short name by/', $book->lines())));
    same("$name: the other is buried", 'no_handler', $connection->failed('a')[0]['reason']);
    $events = array_map(fn ($line) => json_decode($line, true)['event'], explode("\n", trim($said->out)));
    check("$name: no line of a job that went well, as --log-level says", in_array('starting', $events, true) && !in_array('processed', $events, true), $events);

    // Backoff and tries.
    $connection->clear('a');
    $connection->push('Throws', 'luck', 'a');
    $ferry->run(['work', '--queue=a', '--tries=2', '--delay=0', '--max-jobs=2', '--status=0', $boot]);
    same("$name: two attempts, then buried", ['throws in attempt 1', 'throws in attempt 2'], array_values(preg_grep('/^throws/', $book->lines())));

    // Exit codes.
    $connection->push('Exits', '', 'a');
    same("$name: 13", 13, $ferry->run(['work', '--queue=a', '--once', '--tries=1', $boot])->code);
    $connection->push('Eats', '', 'a');
    same("$name: 12", 12, $ferry->run(['work', '--queue=a', '--max-jobs=5', '--memory=30', $boot])->code);
    $connection->push('Wedges', '', 'a');
    same("$name: 14", 14, $ferry->run(['work', '--queue=a', '--once', '--tries=1', '--timeout=0.3', '--grace=0.3', $boot])->code);
    same("$name: 0, with nothing to do", 0, $ferry->run(['work', '--queue=a', '--once', '--sleep=0.1', $boot])->code);
    $connection->clear('a');

    // What a bootstrap file returns: options that no command line can say, and listeners. The command line wins.
    $connection->push('Made', 'x', 'a');
    $returned = $book->bootstrap(<<<'PHP'
        class Logger { public function log($level, $message, array $context = []) { note("logged $level: $message"); } }
        return [
            'queue' => 'b',
            'log' => new Logger(),
            'handler' => fn (string $class, $data) => new class($class) {
                public function __construct(private string $class) {}
                public function fire($job, $data) { note("made $this->class"); $job->delete(); }
            },
            'handlers' => ['Made' => 'stdClass'],
            'on' => ['processed' => fn ($job) => note('heard'), 'stopping' => [fn ($code) => note("one $code"), fn ($code) => note("two $code")]],
        ];
        PHP);
    $lines = count($book->lines());
    $said = $ferry->run(['work', "--bootstrap=$returned", '--queue=a', '--stop-when-empty']);
    same("$name: bootstrapped: exit code", [0, '', ''], [$said->code, $said->out, $said->err]);
    $lines = array_slice($book->lines(), $lines);
    foreach (['made stdClass', 'heard', 'one 0', 'two 0', 'logged info: Processing: Made'] as $line) {
        check("$name: $line", in_array($line, $lines, true), $lines);
    }
    $connection->push('Made', 'x', 'b');
    $ferry->run(['work', "--bootstrap=$returned", '--stop-when-empty']);
    same("$name: its queue, when none is said", 0, $connection->size('b'));
    same("$name: under a master too", 0, $ferry->run(['work', '-p1', '--once', '--sleep=0.1', "--bootstrap=$returned"])->code);
    $ferry->run(['work', '--bootstrap=' . bootstrap('return ["trys" => 3];')])->refused("$name: a wrong option there", 2, '`trys`');
    $ferry->run(['work', '-p2', '--bootstrap=' . bootstrap('return ["trys" => 3];')])->refused("$name: said once by a master", 2, '`trys`');

    // A connection by name.
    file_put_contents(temp_dir() . '/queue.php', '<?php return ' . var_export(['default' => 'nobody', 'connections' => ['nobody' => ['type' => 'redis', 'port' => 1], 'named' => $config]], true) . ';');
    foreach ([['named'], ['-c', 'named'], ['named', '--connection=named'], ['-p1', 'named']] as $words) {
        $connection->push('Note', implode(' ', $words));
        same("$name: " . implode(' ', $words), 0, $ferry->run(['work', ...$words, '--once', '--config=queue.php', $boot])->code);
    }
    same("$name: all ran there", 0, $connection->size());
    same("$name: 1, where there is no broker", 1, $ferry->run(['work', '--once', '--config=queue.php', $boot])->code);
}
$ferry->run(['work', 'sync', '--config=' . bootstrap('return ["default" => "sync", "connections" => ["sync" => ["type" => "sync"]]];')])->refused('sync has no worker', 2, 'sync');
done();
--EXPECT--
ok
