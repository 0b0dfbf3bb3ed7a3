--TEST--
A row in the caller's own transaction becomes a job at its commit and none at its rollback; a waiting worker works it
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'pdo_sqlite', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

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

    $worker = Child::php('class Ship { public function fire($job, $data) { echo $data["order"]; $job->delete(); } }
        (new Ferry\Worker(["queue" => "ship", "max_jobs" => 1, "log" => "none"]))->run();', [], ['FERRY_URL' => $dsn]);
    $pdo->beginTransaction();
    insert($pdo, $connection->row('Ship', ['order' => 4], 'ship'));
    $pdo->commit();
    same("$name: a worker that waits works it", [0, '4', ''], [$worker->wait(), $worker->out(), $worker->err()]);
}
holds('where jobs are no rows it says so', 'keeps no rows', thrown(fn () => (new Ferry\Connection('memory:'))->row('Ship')));
done();
?>
--EXPECT--
ok
