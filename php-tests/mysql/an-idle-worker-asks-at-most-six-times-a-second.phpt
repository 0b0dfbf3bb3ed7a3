--TEST--
An idle worker of three queues, its control flags included, sends at most six statements a second to MariaDB and to PostgreSQL, by the servers' own counts
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'postgres', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';
require __DIR__ . '/../support/postgres.php';

const SECONDS = 5;

/** How many statements arrive while a worker waits. It is idle for two seconds before, and reports of workers come every 15. */
function statements_of_idle_worker(string $dsn, callable $count): int
{
    $worker = Child::php('class Note { public function fire($job, $data) { $job->delete(); echo "ready\n"; } }
        exit((new Ferry\Worker(["queue" => "high,mail,low", "log" => "none"]))->run());', [], ['FERRY_URL' => $dsn]);
    (new Ferry\Connection($dsn))->push('Note', 1, 'low');
    wait_until(fn () => str_contains($worker->out(), 'ready'), 'the worker works');
    sleep(2);
    $before = $count();
    sleep(SECONDS);
    $sent = $count() - $before;
    $worker->signal(SIGTERM);
    same('the worker exits', [0, ''], [$worker->wait(), $worker->err()]);
    return $sent;
}

$mariadb = MariaDbServer::start();
$mariadb->createTables();
$pdo = $mariadb->pdo();
// Its own question is one of them.
$asked = fn () => (int) $pdo->query("SHOW GLOBAL STATUS LIKE 'Questions'")->fetchAll(PDO::FETCH_NUM)[0][1];
$sent = statements_of_idle_worker($mariadb->dsn(), $asked) - 1;
check('MariaDB', $sent > SECONDS && $sent <= 6 * SECONDS, "$sent statements");

$postgres = PostgresServer::start(['log_statement=all', 'logging_collector=on', 'log_directory=log', 'log_filename=all']);
$postgres->create(new Ferry\Connection($postgres->dsn()));
$log = $postgres->client()->query('SHOW data_directory')->fetchColumn() . '/log/all';
$logged = fn () => preg_match_all('/LOG:  (execute|statement)/', file_get_contents($log));
$sent = statements_of_idle_worker($postgres->dsn(), $logged);
check('PostgreSQL', $sent > SECONDS && $sent <= 6 * SECONDS, "$sent statements");
done();
?>
--EXPECT--
ok
