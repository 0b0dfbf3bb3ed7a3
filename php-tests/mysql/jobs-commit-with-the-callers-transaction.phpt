--TEST--
A row in the caller's own transaction becomes a job at its commit and none at its rollback; a waiting worker works it
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'pdo_sqlite', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';
require project('php/autoload.php');

use function Ferry\push_with;

function insert(PDO $pdo, array $row): void
{
    $names = array_keys($row['values']);
    $sql = sprintf('INSERT INTO %s (%s) VALUES (%s)', $row['table'], implode(', ', $names), implode(', ', array_fill(0, count($names), '?')));
    $pdo->prepare($sql)->execute(array_values($row['values']));
}

$server = MariaDbServer::start();
$server->createTables();
$path = temp_dir() . '/own.sqlite';
foreach (['mariadb' => [$server->dsn(), $server->pdo()], 'sqlite' => ["sqlite:$path", null]] as $name => [$dsn, $pdo]) {
    $connection = new Ferry\Connection($dsn);
    $connection->size();
    $pdo ??= new PDO($dsn);
    $pdo->exec('CREATE TABLE orders (number INTEGER)');

    $pdo->beginTransaction();
    $pdo->exec('INSERT INTO orders VALUES (1)');
    insert($pdo, $connection->row('Ship', ['order' => 1]));
    same("$name: nothing is seen before the commit", 0, $connection->size());
    $pdo->rollBack();
    same("$name: nor after a rollback", 0, $connection->size());

    $pdo->beginTransaction();
    $pdo->exec('INSERT INTO orders VALUES (2)');
    insert($pdo, $connection->row('Ship', ['order' => 2], 'mail'));
    insert($pdo, $connection->row('Ship', ['order' => 3], 'mail', 60));
    $pdo->commit();
    same("$name: the commit made them jobs", [1, 1], array_values(array_slice($connection->stats('mail'), 0, 2)));
    $pushed = $connection->push('Ship', ['order' => 2], 'mail');
    $rows = $pdo->query('SELECT queue, payload, attempts FROM jobs ORDER BY id')->fetchAll(PDO::FETCH_NUM);
    same("$name: just as push writes them", $rows[0], $rows[2]);

    // As docs/databases.md shows it.
    foreach ([true, false] as $commits) {
        $pdo->beginTransaction();
        $pdo->exec('INSERT INTO orders VALUES (3)');
        $id = push_with($pdo, 'Ship', ['order' => 3], 'own', connection: $connection);
        check("$name: returns the row number", $id > 0 && $id === (int) $pdo->query("SELECT max(id) FROM jobs WHERE queue = 'own'")->fetchColumn());
        $commits ? $pdo->commit() : $pdo->rollBack();
        same("$name: the commit made it a job, the rollback none", 1, $connection->size('own'));
    }
    $pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_SILENT);
    push_with($pdo, 'Ship', ['order' => 3], 'own', 60, $connection);
    same("$name: with a delay it waits", 1, $connection->stats('own')['delayed']);
    same("$name: the error mode stays", PDO::ERRMODE_SILENT, $pdo->getAttribute(PDO::ATTR_ERRMODE));
    $pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $connection->push('Ship', ['order' => 3], 'own');
    $rows = $pdo->query("SELECT queue, payload, attempts, reserve_time FROM jobs WHERE queue = 'own' ORDER BY id")->fetchAll(PDO::FETCH_NUM);
    same("$name: just as push writes it", $rows[2], $rows[0]);
    $elsewhere = new PDO('sqlite::memory:', null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_SILENT]);
    holds("$name: a refusal is thrown in any error mode", 'no such table', thrown(fn () => push_with($elsewhere, 'Ship', connection: $connection)));

    $worker = Child::php('class Ship { public function fire($job, $data) { echo $data["order"]; $job->delete(); } }
        (new Ferry\Worker(["queue" => "ship", "max_jobs" => 1, "log" => "none"]))->run();', [], ['FERRY_URL' => $dsn]);
    $pdo->beginTransaction();
    push_with($pdo, 'Ship', ['order' => 4], 'ship', connection: $connection);
    $pdo->commit();
    same("$name: a worker that waits works it", [0, '4', ''], [$worker->wait(), $worker->out(), $worker->err()]);
}
holds('where jobs are no rows it says so', 'keeps no rows', thrown(fn () => (new Ferry\Connection('memory:'))->row('Ship')));
done();
?>
--EXPECT--
ok
