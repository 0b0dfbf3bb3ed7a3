--TEST--
`ferry schema mysql` prints statements that MariaDB runs, in the columns of each family; the doctor names what hurts
--SKIPIF--
<?php require __DIR__ . '/../console/skip.php'; needs_console('mariadb', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';
require __DIR__ . '/../console/console.php';

$server = MariaDbServer::start();
$pdo = $server->pdo();
$ferry = new Ferry(['FERRY_URL' => $server->dsn()]);

foreach (['think1' => ['reserved', 'reserved_at', 'available_at', 'created_at'], 'think3' => ['reserve_time', 'available_time', 'create_time']] as $family => $columns) {
    $pdo->exec('DROP DATABASE shop; CREATE DATABASE shop; USE shop');
    foreach ($ferry->run(['schema', 'mysql', "--family=$family", '--json'])->json() as $sql) {
        $pdo->exec($sql);
    }
    $found = $pdo->query("SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'jobs' ORDER BY ordinal_position")->fetchAll(PDO::FETCH_COLUMN);
    same("$family: its columns", ['id', 'queue', 'payload', 'attempts', ...$columns], $found);
    $connection = new Ferry\Connection($server->dsn("family=$family"));
    same("$family: the connection takes them", [1, 1], [$connection->push('Send', 'x'), $connection->size()]);
}
// A client that stops at the first error has missed nothing when it runs them again, beside tables that exist.
$statements = $ferry->run(['schema', 'mysql', '--json'])->json();
$again = array_map(fn ($sql) => thrown(fn () => $pdo->exec($sql)), $statements);
holds('the last one is refused', 'Duplicate key name', array_pop($again));
same('and no other', array_fill(0, count($again), 'nothing'), $again);
foreach (['sqlite', 'mysql'] as $database) {
    holds("$database without a connection", 'CREATE TABLE', $ferry->run(['schema', $database])->out);
}

$said = $ferry->run(['doctor'])->out;
foreach (['reserving walks an index of its own', 'compared byte for byte', 'max_connections is', 'innodb_flush_log_at_trx_commit is not 1'] as $piece) {
    holds('the doctor', $piece, $said);
}
$pdo->exec('DROP INDEX ferry_jobs_available ON jobs; ALTER TABLE jobs MODIFY queue VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL; DROP TABLE failed_jobs');
$said = $ferry->run(['doctor'])->out;
foreach (['each reserve reads all waiting jobs', 'whose names differ in case only are one', 'their table is missing'] as $piece) {
    holds('the doctor of a worse table', $piece, $said);
}
done();
?>
--EXPECT--
ok
