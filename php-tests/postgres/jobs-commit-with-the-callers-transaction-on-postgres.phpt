--TEST--
On PostgreSQL a row in the caller's own transaction becomes a job at its commit and none at its rollback, and push_with() in it wakes the worker then
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('postgres', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/postgres.php';
require project('php/autoload.php');

use function Ferry\push_with;

function insert(PDO $pdo, array $row): void
{
    $names = array_keys($row['values']);
    $sql = sprintf('INSERT INTO %s (%s) VALUES (%s)', $row['table'], implode(', ', $names), implode(', ', array_fill(0, count($names), '?')));
    $pdo->prepare($sql)->execute(array_values($row['values']));
}

$server = PostgresServer::start();
$connection = new Ferry\Connection($server->dsn());
$server->create($connection);
$pdo = $server->client();

$pdo->beginTransaction();
insert($pdo, $connection->row('Ship', 1));
same('nothing is seen before the commit', 0, $connection->size());
$pdo->rollBack();
same('nor after a rollback', 0, $connection->size());

$pdo->beginTransaction();
insert($pdo, $connection->row('Ship', 2, 'mail'));
insert($pdo, $connection->row('Ship', 3, 'mail', 60));
$pdo->commit();
same('the commit made them jobs', [1, 1], array_values(array_slice($connection->stats('mail'), 0, 2)));
$connection->push('Ship', 2, 'mail');
$rows = $pdo->query('SELECT queue, payload, attempts FROM jobs ORDER BY id')->fetchAll(PDO::FETCH_NUM);
same('just as push writes them', $rows[0], $rows[2]);

foreach ([true, false] as $commits) {
    $pdo->beginTransaction();
    $id = push_with($pdo, 'Ship', 3, 'own', connection: $connection);
    same('returns the row number', (int) $pdo->query("SELECT max(id) FROM jobs")->fetchColumn(), $id);
    $commits ? $pdo->commit() : $pdo->rollBack();
    same('the commit made it a job, the rollback none', 1, $connection->size('own'));
}
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_SILENT);
push_with($pdo, 'Ship', 3, 'own', 60, $connection);
same('with a delay it waits', 1, $connection->stats('own')['delayed']);
same('the error mode stays', PDO::ERRMODE_SILENT, $pdo->getAttribute(PDO::ATTR_ERRMODE));
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$connection->push('Ship', 3, 'own');
$rows = $pdo->query("SELECT queue, payload, attempts, reserve_time FROM jobs WHERE queue = 'own' ORDER BY id")->fetchAll(PDO::FETCH_NUM);
same('just as push writes it', $rows[2], $rows[0]);

$worker = Child::php('class Ship { public function fire($job, $data) { file_put_contents(getenv("AT"), sprintf("%.6f\n", microtime(true)), FILE_APPEND); $job->delete(); } }
    (new Ferry\Worker(["queue" => "ship", "max_jobs" => 11, "log" => "none"]))->run();', [], ['FERRY_URL' => $server->dsn(), 'AT' => temp_dir() . '/at']);
$waits = fn () => (int) $pdo->query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'")->fetchColumn() === 1;
wait_until($waits, 'the worker waits');
$late = [];
for ($n = 1; $n <= 11; $n++) {
    $pdo->beginTransaction();
    push_with($pdo, 'Ship', $n, 'ship', connection: $connection);
    usleep(30_000);
    $committed = microtime(true);
    $pdo->commit();
    wait_until(fn () => count(@file(temp_dir() . '/at') ?: []) === $n, "job $n is worked");
    $late[] = (float) file(temp_dir() . '/at')[$n - 1] - $committed;
}
sort($late);
// Milliseconds on a quiet machine; a poll takes up to a second.
check('woken by the commit', $late[5] < 0.1 && $late[0] > 0, sprintf('median %.1f ms', $late[5] * 1000));
same('the worker exits', [0, ''], [$worker->wait(), $worker->err()]);
done();
--EXPECT--
ok
