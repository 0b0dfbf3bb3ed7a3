--TEST--
Workers on Redis are killed, stopped and cut off: no job is lost, and only a death runs one again
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

// A small round; docs/benchmarks.md says what it does and how it is counted.
$command = [getenv('FERRY_PHP'), project('bench/chaos'), '--small', '--only', 'redis'];
$chaos = Child::start($command, temp_dir() . '/chaos', ['PHP' => getenv('FERRY_PHP'), 'TMPDIR' => temp_dir()]);
$code = $chaos->wait(55);
echo $chaos->err(), $chaos->out();
same('exit code', 0, $code);
done();
?>
--EXPECTF--
seed %d
redis: 5000 jobs, 8 workers, %f s under attack, %f s in all
  %d kills, %d short stops, %d long stops; faults of the broker: %s
  %d workers could not start beside a broker that failed, and were started again
  lost: 0
  buried: 0, of these never started: 0 (one for each of %d deaths is allowed)
  duplicates: %d (a worker was killed %d, stopped too long %d; the broker failed 0; nobody died 0)
  by one death: at most %d, reaching back at most %d jobs (129 are allowed)
  told by workers: lost %d, settle_lost %d
  good
ok
