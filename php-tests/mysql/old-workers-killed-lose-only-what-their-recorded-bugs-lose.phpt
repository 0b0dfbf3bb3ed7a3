--TEST--
Workers with think-queue's statements are killed beside Ferry's: every lost job is one whose release they did not finish, every copy one whose deletion they did not reach
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

// FERRY_TEST_JOBS=20000 for a long run; it prints what it found.
define('JOBS', (int) (getenv('FERRY_TEST_JOBS') ?: 1000));
const OLD_WORKERS = 2;
/** So many old workers end by SIGKILL between the two transactions of a release, the others wherever they are. */
const KILLED_IN_RELEASE = 2;
const KILLED_ANYWHERE = 4;

$server = MariaDbServer::start();
$server->createTables();
$pdo = $server->pdo();
$pdo->exec('CREATE TABLE effects (job INT NOT NULL, attempt INT NOT NULL, pid INT NOT NULL)');
// What an old worker was about to do with a job, each written before it does it.
$pdo->exec('CREATE TABLE steps (number INT AUTO_INCREMENT PRIMARY KEY, job INT NOT NULL, pid INT NOT NULL, step VARCHAR(16) NOT NULL)');

$prelude = <<<'PHP'
function db(): PDO
{
    static $pdo;
    return $pdo ??= new PDO('mysql:unix_socket=' . getenv('SOCKET') . ';dbname=shop', 'root', '', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}
function run(string $sql, array $values = []): PDOStatement
{
    $statement = db()->prepare($sql);
    $statement->execute($values);
    return $statement;
}
class Note
{
    public function fire($job, $data)
    {
        if ($data % 5 === 0 && $job->attempts() === 1) {
            $job->release(0);
            return;
        }
        run('INSERT INTO effects VALUES (?, ?, ?)', [$data, $job->attempts(), getmypid()]);
        $job->delete();
    }
}
PHP;
// `mariadb/pop-*`, `mariadb/delete` and `mariadb/release-*` of the recorded statements; the steps between them are the test's own.
$old = <<<'PHP'
class OldJob
{
    private int $data;
    public function __construct(private array $row)
    {
        $this->data = json_decode($row['payload'], true)['data'];
    }
    public function attempts() { return $this->row['attempts'] + 1; }
    public function delete()
    {
        $this->step('delete');
        $this->remove();
        $this->step('done');
    }
    public function release($delay)
    {
        $this->step('release');
        $this->remove();
        if (getenv('DIES_IN_RELEASE')) {
            posix_kill(getmypid(), SIGKILL);
        }
        run('INSERT INTO `jobs` SET `queue` = ? , `attempts` = ? , `reserve_time` = NULL , `available_time` = ? , `create_time` = ? , `payload` = ?',
            ['mail', $this->attempts(), time() + $delay, time(), $this->row['payload']]);
        $this->step('done');
    }
    private function remove()
    {
        db()->beginTransaction();
        if (run('SELECT * FROM `jobs` WHERE `id` = ? LIMIT 1 FOR UPDATE', [$this->row['id']])->fetch()) {
            run('DELETE FROM `jobs` WHERE `id` = ?', [$this->row['id']]);
        }
        db()->commit();
    }
    public function step(string $step)
    {
        run('INSERT INTO steps (job, pid, step) VALUES (?, ?, ?)', [$this->data, getmypid(), $step]);
    }
}
while (!is_file(getenv('STOP'))) {
    try {
        db()->beginTransaction();
        $now = time();
        $row = run('SELECT * FROM `jobs` WHERE `queue` = ? AND ( ( `reserve_time` IS NULL AND `available_time` <= ? ) OR ( `reserve_time` <= ? ) ) ORDER BY `id` ASC LIMIT 1 FOR UPDATE', ['mail', $now, $now - 8])->fetch(PDO::FETCH_ASSOC);
        if ($row) {
            run('UPDATE `jobs` SET `reserve_time` = ? , `attempts` = ? WHERE `id` = ?', [$now, $row['attempts'] + 1, $row['id']]);
        }
        db()->commit();
    } catch (PDOException $e) {
        // The original's worker ends with a deadlock and is started again.
        if (($e->errorInfo[1] ?? 0) !== 1213) {
            throw $e;
        }
        db()->inTransaction() && db()->rollBack();
        continue;
    }
    if (!$row) {
        usleep(20_000);
        continue;
    }
    $job = new OldJob($row);
    $job->step('take');
    (new Note())->fire($job, json_decode($row['payload'], true)['data']);
}
PHP;
$new = 'exit((new Ferry\Worker(["queue" => "mail", "tries" => 50, "log" => "none", "settle" => "immediate"]))->run());';

$stop = temp_dir() . '/stop';
$environment = ['FERRY_URL' => $server->dsn('retry_after=8'), 'SOCKET' => $server->socket, 'STOP' => $stop];
$start = fn (string $code, array $more = []) => Child::php("$prelude\n$code", [], $more + $environment);
$connection = new Ferry\Connection($server->dsn());
$push = function (int $from, int $to) use ($pdo, $connection) {
    $rows = array_map(fn ($n) => $connection->row('Note', $n, 'mail')['values'], range($from, $to - 1));
    foreach (array_chunk($rows, 500) as $chunk) {
        $names = array_keys($chunk[0]);
        $marks = '(' . implode(', ', array_fill(0, count($names), '?')) . ')';
        $pdo->prepare('INSERT INTO jobs (' . implode(', ', $names) . ') VALUES ' . implode(', ', array_fill(0, count($chunk), $marks)))
            ->execute(array_merge(...array_map('array_values', $chunk)));
    }
};

// Old workers alone take the first jobs, so that some are killed in a release.
$killed = [];
$push(0, 200);
for ($n = 0; $n < KILLED_IN_RELEASE; $n++) {
    $child = $start($old, ['DIES_IN_RELEASE' => '1']);
    same('an old worker died in a release', 128 + SIGKILL, $child->wait(60));
    $killed[] = $child->pid;
}
$push(200, JOBS);
$olds = array_map(fn () => $start($old), range(1, OLD_WORKERS));
$ours = $start($new);
$done = fn () => (int) $pdo->query('SELECT COUNT(DISTINCT job) FROM effects')->fetchColumn();
for ($n = 1; $n <= KILLED_ANYWHERE; $n++) {
    $mark = intdiv(JOBS * $n, KILLED_ANYWHERE + 2);
    wait_until(fn () => $done() >= $mark, "$mark jobs are done", 600);
    $child = $olds[$n % OLD_WORKERS];
    $child->signal(SIGKILL);
    $child->wait();
    $killed[] = $child->pid;
    $olds[$n % OLD_WORKERS] = $start($old);
}
wait_until(fn () => (int) $pdo->query('SELECT COUNT(*) FROM jobs')->fetchColumn() === 0, 'all jobs are worked', 600);
touch($stop);
foreach ($olds as $number => $child) {
    same("old worker $number", [0, ''], [$child->wait(), $child->err()]);
}
$ours->signal(SIGTERM);
same('our worker', [0, ''], [$ours->wait(), $ours->err()]);

$column = fn (string $sql) => $pdo->query($sql)->fetchAll(PDO::FETCH_COLUMN);
$pids = implode(', ', $killed);
// The last that a killed worker said of a job.
$unfinished = fn (string $step) => $column("SELECT job FROM steps s WHERE pid IN ($pids) AND step = '$step' AND number = (SELECT max(number) FROM steps WHERE pid = s.pid)");
$worked = $column('SELECT DISTINCT job FROM effects');
$lost = array_values(array_diff(range(0, JOBS - 1), $worked));
same('a job is lost only between the two transactions of their release', [], array_values(array_diff($lost, $unfinished('release'))));
check('those who died there lost one each', count($lost) >= KILLED_IN_RELEASE, count($lost) . ' lost');
$copies = $column('SELECT job FROM effects GROUP BY job HAVING COUNT(*) > 1');
// Killed after the effect: before the deletion, or before it said that it would delete.
$repeatable = [...$unfinished('delete'), ...$unfinished('take')];
same('a job is worked twice only when its worker was killed before the deletion', [], array_values(array_diff($copies, $repeatable)));
same('nothing failed', 0, (int) $pdo->query('SELECT COUNT(*) FROM failed_jobs')->fetchColumn());
check('our worker took part', (int) $pdo->query("SELECT COUNT(*) FROM effects WHERE pid = {$ours->pid}")->fetchColumn() > 0);
getenv('FERRY_TEST_JOBS') && fprintf(STDERR, "%d jobs, %d old workers killed: %d lost, %d worked twice\n", JOBS, count($killed), count($lost), count($copies));
done();
?>
--EXPECT--
ok
