--TEST--
On PostgreSQL a missing table is told, what `schema` prints makes it, jobs are worked as they come, and a failed one is kept and retried
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('postgres', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/postgres.php';

$server = PostgresServer::start();
$connection = new Ferry\Connection($server->dsn());
$told = thrown(fn () => $connection->push('Writes', 1));
holds('a missing table', 'has no table `jobs`', $told);
holds('what to do', 'ferry schema', $told);
$server->create($connection);

$sql = $server->client();
$sql->exec('CREATE TABLE effects (job int, at double precision)');
$id = $connection->push('Writes', 0);
same('push returns the id of the row', $id, $sql->query('SELECT id FROM jobs')->fetchColumn());
same('bulk', 2, $connection->bulk(['Writes', 'Writes'], 1));
$connection->push('Writes', 3);
$connection->later(2, 'Writes', 4);
same('counts', [4, 1], [$connection->stats()['ready'], $connection->stats()['delayed']]);

$handlers = <<<'PHP'
class Writes {
    public function fire($job, $data) {
        static $sql = null;
        $sql ??= new PDO(getenv('PDO_DSN'), 'postgres');
        $sql->prepare('INSERT INTO effects VALUES (?, extract(epoch FROM clock_timestamp()))')->execute([$data]);
        $job->delete();
    }
}
class Fails { public function fire($job, $data) { throw new RuntimeException('no'); } }
exit((new Ferry\Worker(['queue' => 'default', 'tries' => 1, 'log' => 'none']))->run());
PHP;
$worker = Child::php($handlers, [], ['FERRY_URL' => $server->dsn(), 'PDO_DSN' => "pgsql:host=127.0.0.1;port={$server->port};dbname=postgres"]);
$count = fn () => (int) $sql->query('SELECT count(*) FROM effects')->fetchColumn();
wait_until(fn () => $count() === 5, 'all five are worked');
same('each once', [0, 1, 1, 3, 4], array_map('intval', $sql->query('SELECT job FROM effects ORDER BY job')->fetchAll(PDO::FETCH_COLUMN)));

$late = [];
for ($n = 10; $n < 31; $n++) {
    usleep(20_000);
    $pushed = microtime(true);
    $connection->push('Writes', $n);
    wait_until(fn () => $count() === $n - 4, 'the job is worked');
    $late[] = (float) $sql->query("SELECT at FROM effects WHERE job = $n")->fetchColumn() - $pushed;
}
sort($late);
// 5 ms on a quiet machine; a poll takes up to a second.
check('a push wakes the worker', $late[10] < 0.1, sprintf('median %.1f ms', $late[10] * 1000));

$connection->push('Fails', 'x');
wait_until(fn () => $connection->stats()['failed'] === 1, 'the failed job is kept');
holds('its exception', 'RuntimeException', $connection->failed('default')[0]['exception']);
same('retry', 1, $connection->retryFailed('all'));
wait_until(fn () => $connection->stats()['failed'] === 1 && $connection->stats()['ready'] === 0, 'it failed again');

$worker->signal(SIGTERM);
same('the worker exits', [0, ''], [$worker->wait(), $worker->err()]);
same('facts', ['postgres', 'LISTEN', 'present'], array_map(fn ($name) => $connection->facts()[$name], ['driver', 'waiting', 'due_index']));
done();
--EXPECT--
ok
