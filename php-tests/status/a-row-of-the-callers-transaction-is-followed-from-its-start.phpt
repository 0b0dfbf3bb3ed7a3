--TEST--
With track push_with() answers the id of the job, whose status begins when a worker starts it; a rollback leaves none behind
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/boot.php';
require project('php/autoload.php');

use Ferry\Status;
use function Ferry\push_with;

class Ship
{
    public function fire($job, $data)
    {
        $job->result(['order' => $data['order']]);
        $job->delete();
    }
}

$path = temp_dir() . '/own.sqlite';
Ferry\Queue::configure(['connections' => ['own' => ['type' => 'sqlite', 'path' => $path, 'track' => true]], 'default' => 'own']);
same('the tables are there', 0, Ferry\Queue::connection()->size());
$pdo = new PDO("sqlite:$path");

$pdo->beginTransaction();
$lost = push_with($pdo, 'Ship', ['order' => 1, 'id' => 7]);
$pdo->rollBack();
$pdo->beginTransaction();
$id = push_with($pdo, 'Ship', ['order' => 2, 'id' => 8]);
$pdo->commit();
check('an id, as from push', preg_match('/^[A-Za-z]{32}$/', $id) === 1, $id);
same('no status before the start', [null, null], [Status::find($id), Status::find($lost)]);

(new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true]))->run();
$status = Status::find($id);
same('its status is kept', ['succeeded', 'Ship', 1, ['order' => 2]], [$status->state, $status->job, $status->attempts, $status->result]);
same('none of what was rolled back', null, Status::find($lost));
done();
?>
--EXPECT--
ok
