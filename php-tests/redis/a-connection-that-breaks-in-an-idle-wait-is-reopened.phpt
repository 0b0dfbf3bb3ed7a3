--TEST--
A link that is cut or falls silent while its worker waits: the worker comes back by itself, says so once each way and loses nothing
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/links.php';

// A deletion on a link that is lost takes SILENCE and a new link; in Redis a lease may be a second shorter.
const LEASE = 4;

$server = RedisServer::start();
$scenes = [];
foreach (ways_to_break() as $name => [$how, $ways]) {
    $scenes[$name] = [Scene::set($name, $server, LEASE), $how, $ways];
}
foreach ($scenes as [$scene, $how, $ways]) {
    $scene->proxy->$how(...$ways);
}
// Links that are cut but may be made again at once are no outage.
$outages = fn ($how) => $how === 'cut' ? 0 : 1;
foreach ($scenes as [$scene, $how]) {
    $outages($how) && $scene->notices();
    $scene->proxy->open();
    $outages($how) && $scene->recovers(SILENCE + PAUSE);
}
foreach ($scenes as [$scene, $how]) {
    // A request that arrives late may take the job for nobody: then it is back after its lease.
    $scene->works(LEASE + SILENCE + PAUSE);
    same("{$scene->name}: it ran once", 1, $scene->times('began last'));
    $scene->end($outages($how));
}
done();
?>
--EXPECT--
ok
