--TEST--
Handlers write to the queue's own file through PDO in four workers while two producers push, and nobody meets a lock
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

const JOBS = 300;

$path = temp_dir() . '/shared.sqlite';
$pdo = new PDO("sqlite:$path");
$pdo->exec('CREATE TABLE effects (job INTEGER, worker INTEGER)');
$pdo = null;

$prelude = <<<'PHP'
ini_set('memory_limit', '256M');
class Writes
{
    public static ?PDO $pdo = null;
    public function fire($job, $data)
    {
        self::$pdo ??= new PDO('sqlite:' . getenv('SHARED'), null, null, [PDO::ATTR_TIMEOUT => 20]);
        self::$pdo->beginTransaction();
        self::$pdo->prepare('INSERT INTO effects VALUES (?, ?)')->execute([$data, getmypid()]);
        self::$pdo->query('SELECT COUNT(*) FROM effects')->fetchColumn();
        self::$pdo->commit();
        if ($data % 3 === 0) {
            Ferry\Queue::push('Quiet', $data, 'second');
        }
        $job->delete();
    }
}
class Quiet { public function fire($job, $data) { $job->delete(); } }
PHP;
$worker = <<<'PHP'
$worker = new Ferry\Worker(['queue' => 'first,second', 'log' => 'none', 'settle' => getenv('SETTLE')]);
$worker->on('ready', fn () => print("ready\n"));
exit($worker->run());
PHP;
$producer = 'for ($n = 0; $n < ' . JOBS . '; $n++) { Ferry\Queue::push("Writes", (int) getenv("FROM") + $n, "first"); }';

$environment = ['FERRY_URL' => "sqlite:$path", 'SHARED' => $path];
$children = [];
foreach (['pipelined', 'immediate', 'pipelined', 'immediate'] as $settle) {
    $children[] = Child::php("$prelude\n$worker", [], $environment + ['SETTLE' => $settle]);
}
// One that begins long before the others could work all jobs.
array_walk($children, fn (Child $child) => $child->says('ready'));
$producers = [];
foreach ([0, JOBS] as $from) {
    $producers[] = Child::php("$prelude\n$producer", [], $environment + ['FROM' => "$from"]);
}
foreach ($producers as $number => $child) {
    same("producer $number", [0, ''], [$child->wait(50), $child->err()]);
}
$connection = new Ferry\Connection("sqlite:$path");
wait_until(fn () => $connection->size('first') + $connection->size('second') === 0, 'all jobs are worked', 50);
foreach ($children as $number => $child) {
    $child->signal(SIGTERM);
    same("worker $number", [0, ''], [$child->wait(), $child->err()]);
}
$pdo = new PDO("sqlite:$path");
same('every job had its effect once', [2 * JOBS, 2 * JOBS], array_map('intval', $pdo->query('SELECT COUNT(*), COUNT(DISTINCT job) FROM effects')->fetch(PDO::FETCH_NUM)));
check('several workers took part', (int) $pdo->query('SELECT COUNT(DISTINCT worker) FROM effects')->fetchColumn() > 1);
same('nothing failed', [0, 0], [$connection->stats('first')['failed'], $connection->stats('second')['failed']]);
same('the file is whole', 'ok', $pdo->query('PRAGMA integrity_check')->fetchColumn());
done();
?>
--EXPECT--
ok
