--TEST--
Old producers and workers of plain Redis tasks beside ours, which are killed at random: no task is lost, and only a death runs one again
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/plain-tasks.php';

// FERRY_PLAIN_TASKS=10000 for a longer run.
$number = (int) (getenv('FERRY_PLAIN_TASKS') ?: 2000);
$start = clock();
$tasks = new PlainTasks($number);
$tasks->produce();
$tasks->start('old', 2);
$tasks->start('ours', 3);
$tasks->killWhileTheyWork('ours', intdiv($number, 60));
$tasks->finish();

$account = $tasks->account();
echo $account->text(), "\n";
printf("attempts counted and never begun: %d, in %.1f s\n", $account->neverBegun(), clock() - $start);
same('lost', [], $account->lost());
same('runs that nothing explains', [], $account->unexplainedRuns());
check('a death costs the tasks beside it one attempt', $account->neverBegun() <= intdiv($number, 60) * HELD, $account->neverBegun());
same('failed for nothing', [], $account->failedForNothing());
same('wrongly recorded as failed', [], $account->wronglyRecorded([]));
$account->checkWays();
done();
?>
--EXPECTF--
%d tasks, %d kills; runs: old to old %d, old to ours %d, ours to old %d, ours to ours %d; copies by old workers: %d
attempts counted and never begun: %d, in %f s
ok
