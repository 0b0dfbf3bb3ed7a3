--TEST--
A row at attempts 255, the end of think-queue's column: buried when tries are limited, released and worked again when they are not; it stops no queue
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('mariadb'); ?>
--FILE--
<?php
require __DIR__ . '/../support/mariadb.php';

final class Note
{
    public static array $attempts = [];
    public function fire($job, $data)
    {
        self::$attempts[] = [$data, $job->attempts()];
        $data === 'again' && count(self::$attempts) < 3 ? $job->release(0) : $job->delete();
    }
}

$server = MariaDbServer::start();
$server->createTables();
$pdo = $server->pdo();
$pdo->exec('ALTER TABLE jobs MODIFY attempts TINYINT UNSIGNED NOT NULL');
Ferry\Queue::configure(['default' => 'db', 'connections' => ['db' => $server->config()]]);
$work = function (array $options) {
    Note::$attempts = [];
    (new Ferry\Worker($options + ['queue' => 'mail', 'stop_when_empty' => true, 'log' => 'none']))->run();
    return Note::$attempts;
};
$push = function (string $data) use ($pdo) {
    $id = Ferry\Queue::push('Note', $data, 'mail');
    $pdo->exec("UPDATE jobs SET attempts = 255 WHERE id = $id");
};

$push('limited');
Ferry\Queue::push('Note', 'behind it', 'mail');
same('it is not run, and the next one is', [['behind it', 1]], $work(['tries' => 3]));
same('it is buried', ['max_attempts'], array_column(Ferry\Queue::connection()->failed('mail'), 'reason'));
same('no row is left', 0, (int) $pdo->query('SELECT COUNT(*) FROM jobs')->fetchColumn());

$push('again');
same('without a limit it is released and run again', [['again', 256], ['again', 256], ['again', 256]], $work(['tries' => 0]));
same('until it is done', 0, (int) $pdo->query('SELECT COUNT(*) FROM jobs')->fetchColumn());
done();
?>
--EXPECT--
ok
