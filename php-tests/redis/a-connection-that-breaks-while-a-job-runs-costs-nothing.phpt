--TEST--
A link that is cut or falls silent while a job runs: its lease is renewed when the link is back, and the job runs once
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/links.php';

const LEASE = 6;

$server = RedisServer::start();
$redis = $server->client();
/** When the lease of the running job ends. */
$lease = fn (Scene $scene) => array_values($redis->zRange("{queues:{$scene->name}}:reserved", 0, -1, true))[0] ?? 0;

$scenes = [];
foreach (ways_to_break() as $name => [$how, $ways]) {
    $scenes[$name] = [Scene::set($name, $server, LEASE), $how, $ways];
}
$first = 0;
foreach ($scenes as [$scene, $how, $ways]) {
    $scene->startJob();
    $first = max($first, $lease($scene));
    $scene->proxy->$how(...$ways);
}
// A third of the lease has gone: every worker has tried to renew.
wait_until(fn () => clock() > $first - LEASE * 2 / 3 + 0.5, 'a third of the lease has gone');
foreach ($scenes as [$scene]) {
    $scene->proxy->open();
}
wait_until(fn () => clock() > $first + 1, 'every first lease has ended');
foreach ($scenes as [$scene]) {
    check("{$scene->name}: the lease was renewed", $lease($scene) > clock(), $lease($scene) - clock());
    $scene->letGo();
}
foreach ($scenes as [$scene, $how]) {
    $scene->works(SILENCE + PAUSE);
    same("{$scene->name}: the job ran once", 1, $scene->runsOfTheJob());
    // The loop itself asked for nothing meanwhile. It only meets links that are lost for ever.
    $scene->end($how === 'lose' ? 1 : 0);
}

// Away for longer than the lease: the job is another worker's, and nobody's copy is touched.
$late = Scene::set('late', $server, 2);
$late->startJob();
$late->proxy->away();
$second = Child::php(<<<'PHP'
class Says
{
    public function fire($job, $data)
    {
        echo "took it\n";
        wait_until(fn () => file_exists("$data-too"), 'it may go on');
        $job->delete();
        echo $job->isLost() ? "lost\n" : "did it\n";
    }
}
exit((new Ferry\Worker(['log' => 'none', 'settle' => 'immediate', 'max_jobs' => 1]))->run());
PHP, [], ['FERRY_URL' => $server->dsn('queue=late&retry_after=2')]);
$second->says('took it');
$late->proxy->open();
// Its keeper asks again, and the handler sees it.
$late->says('lost');
touch(temp_dir() . '/go-late-too');
same('the second ends well', 0, $second->wait());
same('and kept its job', "took it\ndid it\n", $second->out());
$late->works(SILENCE + PAUSE);
same('the late one ran it once', 1, $late->runsOfTheJob());
$late->end(0);
done();
?>
--EXPECT--
ok
