--TEST--
PDO and Ferry on one file in one process keep each other's locks, also when one of them closes it
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$path = temp_dir() . '/one.sqlite';
$connection = new Ferry\Connection("sqlite:$path?busy_timeout=0.2");
$connection->push('Job1', 'before');
$pdo = new PDO("sqlite:$path");
$pdo->exec('CREATE TABLE mine (x)');

// While PDO writes, a push waits for its time and then says why; nothing is stored.
$pdo->exec('BEGIN IMMEDIATE');
$pdo->exec('INSERT INTO mine VALUES (1)');
$said = thrown(fn () => $connection->push('Job1', 'meanwhile'));
check('a push beside an open transaction of this process is refused clearly', str_starts_with($said, 'Ferry\\BrokerException') || str_starts_with($said, 'Ferry\\ConnectionException'), $said);
// Opening and closing the file elsewhere in this process must not drop PDO's lock (sqlite.org, How To Corrupt, 2.2).
for ($round = 0; $round < 3; $round++) {
    $other = new Ferry\Connection("sqlite:$path?busy_timeout=0.2&queue=q$round");
    thrown(fn () => $other->size());
    unset($other);
    gc_collect_cycles();
}
$child = Child::php('$pdo = new PDO("sqlite:" . getenv("SHARED"), null, null, [PDO::ATTR_TIMEOUT => 0]); echo thrown(fn () => $pdo->exec("BEGIN IMMEDIATE"));', [], ['SHARED' => $path]);
$child->wait();
holds('another process still meets PDO\'s lock', 'database is locked', $child->out());
$pdo->exec('COMMIT');
check('afterwards pushes work', is_int($connection->push('Job1', 'after')));
same('what was refused is not stored', ['before', 'after'], array_map(fn ($body) => json_decode($body)->data, $connection->peek()));
same('the file is whole', 'ok', $pdo->query('PRAGMA integrity_check')->fetchColumn());
same('and PDO\'s row is there', 1, (int) $pdo->query('SELECT COUNT(*) FROM mine')->fetchColumn());
done();
?>
--EXPECT--
ok
