--TEST--
Producers and workers of think-queue v1 and v2 share a queue with ours: nothing is lost, nothing runs twice, every attempt is counted
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/fleet.php';

run_mixed_fleet('think1');
?>
--EXPECTF--
20000 jobs, 21600 runs: %d by 3 old workers, %d by 2 of ours
think1 with %s in %f s
ok
