--TEST--
Wrong credentials, missing tables and columns, another family, MyISAM, large and binary payloads: each error says what to do and nothing is stored
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

$server = MariaDbServer::start(['--max-allowed-packet=1M']);
$pdo = $server->pdo();
$push = fn (array $more = [], string $data = 'x') => thrown(fn () => (new Ferry\Connection($server->config($more)))->push('Job1', $data));

foreach ([['password' => 'WRONG'], ['username' => 'nobody']] as $more) {
    $said = $push($more);
    holds('wrong credentials', 'refused the login', $said);
    check('without the secret', !str_contains($said, 'WRONG'), $said);
}
holds('a missing database', 'does not exist', $push(['database' => 'nowhere']));
holds('a port where nobody listens', 'cannot be reached', $push(['hostport' => 1]));
holds('a missing table', 'has no table `jobs`', $push());
holds('and how it is made', '`ferry schema` prints', $push());
$server->createTables();
same('then it works', 'nothing', $push());

$old = ['table' => 'old'];
$pdo->exec('CREATE TABLE old (id INT AUTO_INCREMENT PRIMARY KEY, queue VARCHAR(255) NOT NULL, payload LONGTEXT NOT NULL, attempts TINYINT UNSIGNED NOT NULL,
    reserved TINYINT UNSIGNED NOT NULL, reserved_at INT UNSIGNED NULL, available_at INT UNSIGNED NOT NULL, created_at INT UNSIGNED NOT NULL)');
holds('another family', 'has the columns of the family `think1`', $push($old));
same('which fits', 'nothing', $push($old + ['family' => 'think1']));
$pdo->exec('ALTER TABLE old DROP COLUMN payload');
holds('a missing column', 'has no column `payload`', $push($old));

$pdo->exec('CREATE TABLE isam LIKE jobs');
$pdo->exec('ALTER TABLE isam ENGINE=MyISAM');
holds('no transactions', 'ENGINE=InnoDB', $push(['table' => 'isam']));

$pdo->exec('CREATE TABLE short LIKE jobs');
$pdo->exec('ALTER TABLE short MODIFY payload TEXT NOT NULL');
$pdo->exec("SET GLOBAL sql_mode = ''");
holds('a column that is too short', 'more than the 65535 of the column `payload`', $push(['table' => 'short'], str_repeat('x', 70_000)));
holds('a packet that is too large', 'max_allowed_packet', $push([], str_repeat('x', 2_000_000)));
$raw = thrown(fn () => (new Ferry\Connection($server->config(['table' => 'short'])))->pushRaw("\xff\xfe"));
holds('bytes that are no text', 'is not UTF-8', $raw);
same('nothing of all that is stored', [1, 0], array_map(fn ($table) => (int) $pdo->query("SELECT COUNT(*) FROM $table")->fetchColumn(), ['jobs', 'short']));
done();
?>
--EXPECT--
ok
