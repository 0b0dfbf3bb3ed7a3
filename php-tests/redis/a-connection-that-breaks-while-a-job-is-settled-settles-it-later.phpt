--TEST--
A link that is cut or falls silent while a job is settled: its deletion arrives when the link is back, or the handler is told that it is uncertain
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/links.php';

const LEASE = 8;

$server = RedisServer::start();
$outages = fn ($how) => $how === 'cut' ? 0 : 1;
foreach (['pipelined', 'immediate'] as $settle) {
    $scenes = [];
    foreach (ways_to_break() as $name => [$how, $ways]) {
        $scenes[$name] = [Scene::set("$settle-$name", $server, LEASE, ['settle' => $settle]), $how, $ways];
    }
    foreach ($scenes as [$scene, $how, $ways]) {
        $scene->startJob();
        $scene->proxy->$how(...$ways);
        $scene->letGo();
    }
    foreach ($scenes as [$scene, $how]) {
        $outages($how) && $scene->notices();
        $scene->proxy->open();
        $outages($how) && $scene->recovers(SILENCE + PAUSE);
    }
    foreach ($scenes as [$scene, $how]) {
        $scene->works(LEASE + SILENCE + PAUSE);
        // `immediate`: the handler got an exception, so its job may run again. A line may say that its release failed too.
        $runs = $scene->runsOfTheJob();
        check("{$scene->name}: how often the job ran", $runs === 1 || ($settle === 'immediate' && $runs === 2), $runs);
        $settle === 'pipelined' && same("{$scene->name}: it was done once", 1, $scene->times('did ' . temp_dir()));
        $scene->end($outages($how), $settle === 'immediate' ? 1 : 0);
    }
}
done();
?>
--EXPECT--
ok
