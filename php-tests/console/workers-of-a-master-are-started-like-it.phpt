--TEST--
Workers have their master's interpreter, flags, environment and folder; lines stay whole; a new release goes live with HUP, a broken one does not
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$config = ['type' => 'sqlite', 'path' => temp_dir() . '/jobs.sqlite'];
$connection = use_broker($config);

// Interpreter, flags, environment and folder are those of the start, whatever the bootstrap file did to them.
$book = new Book();
$boot = $book->bootstrap(<<<'PHP'
    class Tell { public function fire($job, $data) {
        note(json_encode([PHP_BINARY, ini_get('memory_limit'), ini_get('precision'), php_ini_loaded_file(), getcwd(), getenv('FERRY_TEST')]));
        $job->delete();
    } }
    putenv('FERRY_TEST=changed');
    PHP);
$ferry = Ferry::on($config, ['FERRY_TEST' => 'kept'])->withFlags(['-dmemory_limit=77M', '-d', 'precision=9']);
$connection->push('Tell');
$connection->push('Tell');
$ferry->run(['work', '--once', "--bootstrap=$boot"])->well('one worker');
$ferry->run(['work', '--processes=1', '--once', "--bootstrap=$boot"])->well('under a master');
[$own, $child] = array_map('json_decode', $book->lines());
same('all is the same', $own, $child);
same('the folder is that of the start', realpath(temp_dir()), $child[4]);
same('flags reached them', ['77M', '9'], array_slice($child, 1, 2));
$env = bootstrap('fwrite(STDERR, "before: " . getenv("FERRY_TEST") . "\n"); putenv("FERRY_TEST=changed");');
same('the environment of a child is that of the start', "before: kept\nbefore: kept\n", $ferry->run(['work', '--processes=1', '--once', '--sleep=0.1', "--bootstrap=$env"])->err);

// Work that ends by itself.
for ($number = 1; $number <= 20; $number++) {
    $connection->push('Note', "job $number");
}
$said = $ferry->run(['work', '--processes=3', '--stop-when-empty', '--bootstrap=' . $book->bootstrap(), '--log=json', '--status=0'])->well('until empty');
same('all were worked', 0, $connection->size());
$lines = array_map(fn ($line) => json_decode($line, true, 512, JSON_THROW_ON_ERROR), explode("\n", trim($said->out)));
same('a line each for begin and end', 40, count(array_filter($lines, fn ($line) => in_array($line['event'], ['processing', 'processed'], true))));
same('quiet', '', $ferry->run(['work', '--stop-when-empty', '-q'])->well('quiet')->out);
$connection->push('Leaves');
$wrong = $ferry->run(['work', '--processes=2', '--once', '--tries=1', '--sleep=0.1', '--bootstrap=' . bootstrap('class Leaves { public function fire($job, $data) { exit(7); } }')]);
same('the highest code of workers that have one run', 13, $wrong->code);

// Limits recycle a worker, and 12 is one of them.
$master = Ferry::on($config)->start(['work', '--processes=1', '--max-jobs=1', '--bootstrap=' . $book->bootstrap()]);
foreach (['first', 'second'] as $data) {
    $connection->push('Note', $data);
    $book->waitFor("$data by");
}
check('a process each', explode(' by ', array_values(preg_grep('/^first by/', $book->lines()))[0])[1] !== explode(' by ', array_values(preg_grep('/^second by/', $book->lines()))[0])[1]);
holds('told', 'ended with exit code 0', $master->out());
same('no trouble', '', $master->err());
$master->signal(SIGTERM);
same('left', 0, $master->wait());

// Long lines of several workers do not run into each other.
$loud = bootstrap(<<<'PHP'
    class Loud { public function fire($job, $letter) {
        for ($line = 0; $line < 50; $line++) {
            foreach (str_split(str_repeat($letter, 3000), 700) as $piece) { echo $piece; flush(); }
            echo "\n";
        }
        fwrite(STDERR, "no end of line from $letter");
        $job->delete();
    } }
    PHP);
foreach (['a', 'b', 'c', 'd'] as $letter) {
    $connection->push('Loud', $letter);
}
$said = $ferry->run(['work', '-p4', '--once', "--bootstrap=$loud", '--log=none', '--status=0', '--prefetch=1']);
$lines = array_count_values(explode("\n", $said->out));
foreach (['a', 'b', 'c', 'd'] as $letter) {
    same("whole lines of $letter", 50, $lines[str_repeat($letter, 3000)] ?? 0);
    holds("what has no end gets one: $letter", "no end of line from $letter\n", $said->err);
}

// A release is a folder; `current` is a link to it. HUP takes the new one, and goes on with the old one when the new one is broken.
$base = temp_dir() . '/app';
foreach (['one' => '', 'two' => '', 'broken' => 'throw new Exception("no such table");'] as $release => $code) {
    mkdir("$base/$release", recursive: true);
    copy($book->bootstrap("note('$release booted'); class Which { public function fire(\$job, \$data) { note('ran $release'); \$job->delete(); } } $code"), "$base/$release/boot.php");
}
at_the_end(function () use ($base) {
    foreach (['one', 'two', 'broken'] as $release) {
        unlink("$base/$release/boot.php");
        rmdir("$base/$release");
    }
    unlink("$base/current");
    rmdir($base);
});
symlink("$base/one", "$base/current");
$point = function (string $release) use ($base) {
    symlink("$base/$release", "$base/next");
    rename("$base/next", "$base/current");
};
$words = implode(' ', array_map('escapeshellarg', $ferry->command(['work', '--processes=1', '--bootstrap=boot.php'])));
$master = Child::start(['sh', '-c', "cd $base/current && exec $words"], "$base-master", ['FERRY_URL' => Ferry::url($config)]);
$connection->push('Which');
$book->waitFor('ran one');
[$old] = wait_for_children($master, 1);
$point('broken');
$master->signal(SIGHUP);
wait_until(fn () => substr_count($master->err(), 'the old one continues') >= 3, 'the broken release is tried, more and more seldom');
holds('why', 'no such table', $master->err());
$connection->push('Which');
wait_until(fn () => count(preg_grep('/^ran one$/', $book->lines())) === 2, 'the old code still works');
check('in the same process', in_array($old, children_of($master->pid), true));
$point('two');
$connection->push('Which');
wait_until(fn () => array_intersect([$old], children_of($master->pid)) === [], 'the next release takes over');
$connection->push('Which');
$book->waitFor('ran two');
$master->signal(SIGTERM);
same('left', 0, $master->wait());
done();
--EXPECT--
ok
