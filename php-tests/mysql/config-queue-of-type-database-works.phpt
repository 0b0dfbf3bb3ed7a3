--TEST--
`type => 'database'` with host keys: push, later and bulk answer as think-queue does, workers work, failures are kept in local time
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

date_default_timezone_set('Asia/Shanghai');
$server = MariaDbServer::start();
$server->createTables(['prefix' => 'tp_']);
Ferry\Queue::configure(['default' => 'database', 'connections' => ['database' => $server->config(['prefix' => 'tp_', 'queue' => 'mail'])]]);
$pdo = $server->pdo();

class Notes
{
    public static array $seen = [];
    public function fire($job, $data)
    {
        self::$seen[] = [$data, $job->attempts()];
        if ($data === 'bad') {
            throw new RuntimeException('bad mail');
        }
        $job->delete();
    }
}

same('push answers the id of its row', 1, Ferry\Queue::push('Notes', ['to' => 'a']));
same('later too', 2, Ferry\Queue::later(3600, 'Notes', 'late'));
same('bulk answers how many', 2, Ferry\Queue::bulk(['Notes', 'Notes'], 'many'));
$row = $pdo->query('SELECT * FROM tp_jobs WHERE id = 2')->fetch(PDO::FETCH_ASSOC);
same('its columns are think-queue\'s', ['id', 'queue', 'payload', 'attempts', 'reserve_time', 'available_time', 'create_time'], array_keys($row));
same('with its values', ['mail', null, 3600], [$row['queue'], $row['reserve_time'], (int) $row['available_time'] - (int) $row['create_time']]);
same('and its payload', '{"job":"Notes","maxTries":null,"timeout":null,"data":"late"}', $row['payload']);

Ferry\Queue::push('Notes', 'bad');
$code = (new Ferry\Worker(['tries' => 1, 'stop_when_empty' => true, 'log' => 'none']))->run();
same('the worker ends well', 0, $code);
same('and worked what was due in its order', [[['to' => 'a'], 1], ['many', 1], ['many', 1], ['bad', 1]], Notes::$seen);
same('the delayed one is left', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 1], Ferry\Queue::stats());
$failed = $pdo->query('SELECT * FROM tp_failed_jobs')->fetch(PDO::FETCH_ASSOC);
holds('the failed job says why', 'RuntimeException: bad mail', $failed['exception']);
check('in the local time of PHP', abs(strtotime($failed['fail_time']) - time()) < 30, $failed['fail_time']);
same('retry puts it back', 1, Ferry\Queue::retryFailed());
same('under its id', [5], array_map('intval', $pdo->query("SELECT id FROM tp_jobs WHERE payload LIKE '%bad%'")->fetchAll(PDO::FETCH_COLUMN)));

$socket = new Ferry\Connection(['type' => 'mysql', 'socket' => $server->socket, 'username' => 'ferry', 'password' => 'secret', 'database' => 'shop', 'table' => 'tp_jobs']);
same('a unix socket leads to the same rows', 2, $socket->size('mail'));
done();
?>
--EXPECT--
ok
