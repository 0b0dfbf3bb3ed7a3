--TEST--
php-fpm: what a request configures ends with it; pools have connections of their own, from the environment or ini
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

$servers = array_map(fn () => RedisServer::start(), array_fill_keys(['env', 'ini', 'asked'], null));
$clients = array_map(fn ($server) => $server->client(), $servers);
$scripts = [
    'push.php' => 'try { echo getmypid(), " ", Ferry\Queue::push("Job1", 1, "web"); } catch (Throwable $e) { echo getmypid(), " ", get_class($e), ": ", $e->getMessage(); }',
    'configure.php' => 'Ferry\Queue::configure($_GET["url"]); echo getmypid(), " ", Ferry\Queue::push("Job1", 2, "web");',
    'putenv.php' => 'putenv("FERRY_URL=$_GET[url]"); echo getmypid(), " ", Ferry\Queue::push("Job1", 3, "web");',
    'exits.php' => 'Ferry\Queue::configure($_GET["url"]); Ferry\Queue::push("Job1", 4, "web"); echo getmypid(), " "; exit;',
    'dies.php' => 'Ferry\Queue::configure($_GET["url"]); Ferry\Queue::push("Job1", 5, "web"); echo getmypid(), " "; undefined_function();',
    'shown.php' => 'echo ini_get("ferry.url");',
    'keeps.php' => 'static $kept; $kept = Ferry\Queue::connection(); Ferry\Queue::configure($_GET["url"]); $kept->push("Job1", 6, "web"); echo getmypid(), " ", Ferry\Queue::push("Job1", 6, "web");',
];
$one = ['pm.max_children' => '1'];
$site = FpmSite::start($scripts, [
    'env' => $one + ['env[FERRY_URL]' => $servers['env']->dsn()],
    'ini' => $one + ['php_admin_value[ferry.url]' => '"' . $servers['ini']->dsn() . '?read_timeout=9"'],
    'none' => $one,
]);
$count = fn () => array_map(fn ($client) => $client->lLen('{queues:web}'), $clients);
$url = rawurlencode($servers['asked']->dsn());

[$pid] = explode(' ', $site->get('/env/push.php'));
same('from the environment of the pool', ['env' => 1, 'ini' => 0, 'asked' => 0], $count());
$site->get('/ini/push.php');
same('from the ini of the pool', ['env' => 1, 'ini' => 1, 'asked' => 0], $count());
same('what the ini of the pool shows', $servers['ini']->dsn(), $site->get('/ini/shown.php'));
holds('from nowhere', 'no connection is configured', $site->get('/none/push.php'));

// What the request says, and where its own child goes afterwards.
$taken = ['env' => 1, 'ini' => 1, 'asked' => 0];
foreach (['configure', 'putenv', 'exits', 'dies', 'keeps', 'configure'] as $script) {
    [$by] = explode(' ', http_get($site->socket(), "/env/$script.php?url=$url")[1]);
    $taken['asked']++;
    $taken['env'] += $script === 'keeps' ? 1 : 0;
    same("$script: by the same child", $pid, $by);
    same("$script: where it asked", $taken, $count());
    [$by] = explode(' ', $site->get('/env/push.php'));
    $taken['env']++;
    same("$script: the next one", [$pid, $taken], [$by, $count()]);
}
$site->get("/none/configure.php?url=$url");
$taken['asked']++;
holds('nothing is configured again', 'no connection is configured', $site->get('/none/push.php'));
same('at the end', $taken, $count());
// The child of each pool has one link to each server it was sent to, however often.
foreach (['env' => 1, 'ini' => 1, 'asked' => 2] as $name => $links) {
    same("links to $name", $links, links($clients[$name]));
}
done();
?>
--EXPECT--
ok
