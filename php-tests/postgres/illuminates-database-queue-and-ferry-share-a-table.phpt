--TEST--
On PostgreSQL illuminate's own DatabaseQueue and Ferry push to one table and work each other's jobs; none is lost while our workers are killed
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('postgres', 'illuminate', 'posix', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/postgres.php';

const JOBS = 600;

$server = PostgresServer::start();
$sql = $server->client();
// The migration of `queue:table`, and our index.
$sql->exec('CREATE TABLE jobs (id bigserial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL, attempts smallint NOT NULL,
    reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL)');
$sql->exec('CREATE INDEX jobs_queue_index ON jobs (queue)');
$url = $server->dsn('family=think3-legacy&retry_after=4');
foreach ((new Ferry\Connection($url))->schema() as $statement) {
    str_starts_with($statement, 'CREATE TABLE IF NOT EXISTS "jobs"') || $sql->exec(str_replace('available_time', 'available_at', $statement));
}
$sql->exec('CREATE TABLE effects (job int, pid int)');

$prelude = <<<'PHP'
function pdo(): PDO { static $pdo; return $pdo ??= new PDO(getenv('PDO_DSN'), 'postgres', null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]); }
class Note {
    public function fire($job, $data) {
        pdo()->prepare('INSERT INTO effects VALUES (?, ?)')->execute([$data, getmypid()]);
        $job->delete();
    }
}
function illuminate(): Illuminate\Queue\DatabaseQueue {
    require_once '/usr/share/php/Illuminate/Queue/autoload.php';
    require_once '/usr/share/php/Illuminate/Database/autoload.php';
    $database = new Illuminate\Database\PostgresConnection(new PDO(getenv('PDO_DSN'), 'postgres', null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]));
    $queue = new Illuminate\Queue\DatabaseQueue($database, 'jobs', 'mail', 4);
    $queue->setContainer(new Illuminate\Container\Container());
    $queue->setConnectionName('database');
    return $queue;
}
error_reporting(E_ALL & ~E_DEPRECATED);
PHP;
$stop = temp_dir() . '/stop';
$environment = ['FERRY_URL' => $url, 'STOP' => $stop, 'PDO_DSN' => "pgsql:host=127.0.0.1;port={$server->port};dbname=postgres"];
$start = fn (string $code) => Child::php("$prelude\n$code", [], $environment);
$half = JOBS / 2;
$producers = [
    $start("for (\$n = 0; \$n < $half; \$n++) { Ferry\\Queue::push('Note', \$n, 'mail'); }"),
    $start("\$queue = illuminate(); for (\$n = $half; \$n < " . JOBS . '; $n++) { $queue->push("Note", $n, "mail"); }'),
];
$theirs = $start('$queue = illuminate(); while (!is_file(getenv("STOP"))) { $job = $queue->pop("mail"); $job ? $job->fire() : usleep(20_000); }');
$work = 'exit((new Ferry\Worker(["queue" => "mail", "tries" => 50, "log" => "none", "settle" => "immediate"]))->run());';
$ours = $start($work);
$done = fn () => (int) $sql->query('SELECT COUNT(DISTINCT job) FROM effects')->fetchColumn();
foreach ([100, 200, 300] as $mark) {
    wait_until(fn () => $done() >= $mark, "$mark jobs are done", 60);
    $ours->signal(SIGKILL);
    $ours->wait();
    $ours = $start($work);
}
foreach ($producers as $number => $child) {
    same("producer $number", [0, ''], [$child->wait(50), $child->err()]);
}
wait_until(fn () => (int) $sql->query('SELECT COUNT(*) FROM jobs')->fetchColumn() === 0, 'all jobs are worked', 60);
touch($stop);
same('their worker', [0, ''], [$theirs->wait(), $theirs->err()]);
$ours->signal(SIGTERM);
same('our worker', [0, ''], [$ours->wait(), $ours->err()]);
same('every job was worked', JOBS, $done());
$crossed = fn (string $which) => (int) $sql->query("SELECT COUNT(*) FROM effects WHERE job $which AND pid " . ($which === "< $half" ? '=' : '<>') . " {$theirs->pid}")->fetchColumn() > 0;
check('their worker worked jobs of ours', $crossed("< $half"));
check('our workers worked jobs of theirs', $crossed(">= $half"));
// A worker that is killed between an effect and its deletion does that one again.
check('none more often than workers were killed', (int) $sql->query('SELECT COUNT(*) FROM effects')->fetchColumn() <= JOBS + 3);
done();
--EXPECT--
ok
