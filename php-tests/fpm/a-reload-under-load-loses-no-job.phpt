--TEST--
php-fpm: the pool reloads under load, orderly or not; the job of every answered request is stored, once
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

// In an orderly reload children may finish; in the other the master ends them where they are.
foreach (['orderly' => ['process_control_timeout' => '10s'], 'abrupt' => []] as $how => $global) {
    $server = RedisServer::start();
    $redis = $server->client();
    $preload = sys_get_temp_dir() . '/ferry-preload-' . getmypid() . '.php';
    file_put_contents($preload, '<?php Ferry\Queue::push("Job1", 0, "master");');
    at_the_end(fn () => @unlink($preload));
    $flags = ['-d', 'zend_extension=opcache', '-d', 'opcache.enable=1', '-d', "opcache.preload=$preload"];
    $before = connections_taken($redis);
    $site = FpmSite::start(
        ['push.php' => 'usleep(3000); $id = Ferry\Queue::push("Job1", (int) $_GET["n"], "web"); usleep(3000); header("Content-Length: " . strlen($id)); echo $id;'],
        ['www' => []],
        $flags,
        ['FERRY_URL' => $server->dsn()],
        $global,
        as_user: true,
    );
    $requests = 1200;
    $reloads = 0;
    $answers = http_all($site->socket(), array_map(fn ($n) => "/www/push.php?n=$n", range(0, $requests - 1)), 16, function (int $answered) use ($site, &$reloads) {
        // Again when the last one is through; a master that is still at it would not hear the next.
        if ($answered > 200 * ($reloads + 1) && $site->starts() === $reloads + 1 && $reloads < 3) {
            $reloads++;
            $site->reload();
        }
    });
    wait_until(fn () => $site->starts() === $reloads + 1, 'the last reload is through');
    check("$how: it was reloaded under load", $reloads >= 1, $reloads);
    same("$how: each master pushed while it preloaded", $reloads + 1, $redis->lLen('{queues:master}'));
    // An answer that broke off (0) is none.
    same("$how: an answer is a success or nginx's word that there was none", [], array_diff(array_column($answers, 0), [200, 502, 0]));
    $answered = array_map(fn ($answer) => $answer[1], array_filter($answers, fn ($answer) => $answer[0] === 200));
    if ($how === 'orderly') {
        check("$how: hardly a request is turned away", count($answered) > $requests * 0.95, count($answered));
    }
    $stored = array_combine(stored_ids($redis, 'web'), stored_data($redis, 'web'));
    same("$how: no job is there twice", count($stored), count(array_unique($stored)));
    $missing = array_filter($answered, fn ($id, $n) => ($stored[$id] ?? null) !== $n, ARRAY_FILTER_USE_BOTH);
    same("$how: every answered request has stored its job", [], $missing);
    // A child that was ended between its push and its answer has stored a job as well; no more than that.
    check("$how: nothing else is stored", count($stored) - count($answered) <= count($answers) - count($answered), count($stored));
    same("$how: it serves", 200, http_get($site->socket(), '/www/push.php?n=-1')[0]);
    $taken = connections_taken($redis) - $before;
    check("$how: five connections a master, its own and its children's", $taken <= 5 * ($reloads + 1), $taken);
    check("$how: no connection outlives its process", links($redis) <= 5, links($redis));
    $site->stop();
    wait_until(fn () => links($redis) === 0, 'the server sees that all are gone');
}
done();
?>
--EXPECT--
ok
