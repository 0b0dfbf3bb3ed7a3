--TEST--
Old workers of plain Redis tasks are killed beside ours: each task that is lost was in the hands of a killed one, each copy was moved twice by one
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/plain-tasks.php';

// FERRY_PLAIN_TASKS=10000 for a longer run.
$number = (int) (getenv('FERRY_PLAIN_TASKS') ?: 2000);
$kills = intdiv($number, 60);
$start = clock();
$tasks = new PlainTasks($number);
$tasks->produce();
$tasks->start('old', 3);
$tasks->start('ours', 2);
$tasks->killWhileTheyWork('old', $kills);
$tasks->finish();

$account = $tasks->account();
$lost = $account->lost();
$unnoted = array_diff($lost, $account->takenByKilled());
echo $account->text(), "\n";
printf("lost: %d, of these taken without a note: %d, in %.1f s\n", count($lost), count($unnoted), clock() - $start);
check('no more are lost than were killed', count($lost) <= $kills, $lost);
check('each was taken by a killed worker (bug 2)', count($unnoted) <= $account->killedWhileTheyWaited(), $unnoted);
same('runs that neither a failure nor a copy explains (bug 3)', [], $account->unexplainedRuns());
same('nobody of ours died, so each attempt was begun', 0, $account->neverBegun());
same('failed for nothing', [], $account->failedForNothing());
same('wrongly recorded as failed', [], $account->wronglyRecorded($lost));
$account->checkWays();
done();
?>
--EXPECTF--
%d tasks, %d kills; runs: old to old %d, old to ours %d, ours to old %d, ours to ours %d; copies by old workers: %d
lost: %d, of these taken without a note: %d, in %f s
ok
