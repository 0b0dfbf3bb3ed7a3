--TEST--
Producers and workers of think-queue v3.0.2 to v3.0.4 share a queue with ours: nothing is lost, nothing runs twice, every attempt is counted
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/fleet.php';

run_mixed_fleet('think3-legacy');
?>
--EXPECTF--
20000 jobs, 21600 runs: %d by 3 old workers, %d by 2 of ours
think3-legacy with %s in %f s
ok
