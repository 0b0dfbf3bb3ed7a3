--TEST--
Workers and producers with think-queue's statements beside ours on one table, while our workers are killed: no job is lost, no attempt is made twice
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

const JOBS = 1200;

$server = MariaDbServer::start();
$pdo = $server->pdo();
// think-queue's own migration, and our index.
$pdo->exec('CREATE TABLE jobs (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, queue VARCHAR(255) NOT NULL, payload LONGTEXT NOT NULL,
    attempts TINYINT UNSIGNED NOT NULL, reserve_time INT UNSIGNED NULL, available_time INT UNSIGNED NOT NULL, create_time INT UNSIGNED NOT NULL, KEY queue (queue))');
foreach ((new Ferry\Connection($server->config()))->schema() as $sql) {
    if (!str_starts_with($sql, 'CREATE TABLE IF NOT EXISTS `jobs`')) {
        $pdo->exec($sql);
    }
}
$pdo->exec('CREATE TABLE effects (job INT NOT NULL, attempt INT NOT NULL, pid INT NOT NULL)');

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
        run('INSERT INTO effects VALUES (?, ?, ?)', [$data, $job->attempts(), getmypid()]);
        $job->delete();
    }
}
PHP;
// What `mariadb/pop-*` and `mariadb/delete` record, deadlocks included: the original's worker ends with one and is started again.
$old = <<<'PHP'
class OldJob
{
    public function __construct(private array $row) {}
    public function attempts() { return $this->row['attempts'] + 1; }
    public function delete()
    {
        db()->beginTransaction();
        if (run('SELECT * FROM `jobs` WHERE `id` = ? LIMIT 1 FOR UPDATE', [$this->row['id']])->fetch()) {
            run('DELETE FROM `jobs` WHERE `id` = ?', [$this->row['id']]);
        }
        db()->commit();
    }
}
while (!is_file(getenv('STOP'))) {
    try {
        db()->beginTransaction();
        $now = time();
        $row = run('SELECT * FROM `jobs` WHERE `queue` = ? AND ( ( `reserve_time` IS NULL AND `available_time` <= ? ) OR ( `reserve_time` <= ? ) ) ORDER BY `id` ASC LIMIT 1 FOR UPDATE', ['mail', $now, $now - 4])->fetch(PDO::FETCH_ASSOC);
        if ($row) {
            run('UPDATE `jobs` SET `reserve_time` = ? , `attempts` = ? WHERE `id` = ?', [$now, $row['attempts'] + 1, $row['id']]);
        }
        db()->commit();
        $row ? (new Note())->fire(new OldJob($row), json_decode($row['payload'], true)['data']) : usleep(20_000);
    } catch (PDOException $e) {
        if (($e->errorInfo[1] ?? 0) !== 1213) {
            throw $e;
        }
        db()->inTransaction() && db()->rollBack();
    }
}
PHP;
$new = 'exit((new Ferry\Worker(["queue" => "mail", "tries" => 50, "log" => "none", "prefetch" => 8]))->run());';
$push_new = 'for ($n = 0; $n < ' . JOBS / 2 . '; $n++) { Ferry\Queue::push("Note", $n, "mail"); }';
$push_old = 'for ($n = ' . JOBS / 2 . '; $n < ' . JOBS . '; $n++) { run("INSERT INTO `jobs` SET `queue` = ? , `attempts` = ? , `reserve_time` = NULL , `available_time` = ? , `create_time` = ? , `payload` = ?",
    ["mail", 0, time(), time(), \'{"job":"Note","maxTries":null,"timeout":null,"data":\' . $n . "}"]); }';

$stop = temp_dir() . '/stop';
$environment = ['FERRY_URL' => $server->dsn('retry_after=4'), 'SOCKET' => $server->socket, 'STOP' => $stop];
$start = fn (string $code) => Child::php("$prelude\n$code", [], $environment);
$producers = [$start($push_new), $start($push_old)];
$olds = [$start($old), $start($old)];
$news = [$start($new), $start($new)];
$kills = 0;
$left = fn () => (int) $pdo->query('SELECT COUNT(*) FROM jobs')->fetchColumn();
$done = fn () => (int) $pdo->query('SELECT COUNT(DISTINCT job) FROM effects')->fetchColumn();
foreach ([200, 400, 600, 800] as $number => $mark) {
    wait_until(fn () => $done() >= $mark, "$mark jobs are done", 60);
    $news[$number % 2]->signal(SIGKILL);
    $news[$number % 2]->wait();
    $news[$number % 2] = $start($new);
    $kills++;
}
foreach ($producers as $number => $child) {
    same("producer $number", [0, ''], [$child->wait(50), $child->err()]);
}
wait_until(fn () => $left() === 0, 'all jobs are worked', 60);
touch($stop);
foreach ($olds as $number => $child) {
    same("old worker $number", [0, ''], [$child->wait(), $child->err()]);
}
foreach ($news as $number => $child) {
    $child->signal(SIGTERM);
    same("our worker $number", [0, ''], [$child->wait(), $child->err()]);
}
same('every job was worked', JOBS, $done());
same('no attempt was made twice', [], $pdo->query('SELECT job, attempt FROM effects GROUP BY job, attempt HAVING COUNT(*) > 1')->fetchAll(PDO::FETCH_NUM));
check('both sides took part', (int) $pdo->query('SELECT COUNT(DISTINCT pid) FROM effects')->fetchColumn() >= 4);
same('nothing failed', 0, (int) $pdo->query('SELECT COUNT(*) FROM failed_jobs')->fetchColumn());
done();
?>
--EXPECT--
ok
