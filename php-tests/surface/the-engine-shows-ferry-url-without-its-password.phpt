--TEST--
php --re, ini_get() and ini_get_all() show ferry.url without its password and its query, and connections use it as it was written
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

$server = RedisServer::start(['--requirepass', 'hunter2']);
$url = "redis://:hunter2@127.0.0.1:{$server->port}/3?queue=hunter3";
$masked = "redis://***@127.0.0.1:{$server->port}/3";

$php = getenv('FERRY_PHP') . ' ' . getenv('FERRY_PHP_FLAGS') . ' -d ' . escapeshellarg("ferry.url=\"$url\"");
$re = shell_exec("$php --re ferry");
holds('--re: what is shown', "Current = '$masked'", $re);
check('--re: no secret', !str_contains($re, 'hunter'), substr($re, strpos($re, 'ferry.url'), 120));

$url = "redis://:hunter2@127.0.0.1:{$server->port}/3?queue=mail";
$child = Child::php('
    Ferry\Queue::push("Job1");
    echo json_encode([ini_get("ferry.url"), ini_get_all("ferry")["ferry.url"], (new ReflectionExtension("ferry"))->getINIEntries()["ferry.url"], Ferry\Queue::pop()->getQueue()], JSON_UNESCAPED_SLASHES);
', ['-d', "ferry.url=\"$url\""]);
same('it ends', 0, $child->wait());
same('what the engine shows, and the queue of the query', [$masked, ['global_value' => $masked, 'local_value' => $masked, 'access' => 4], $masked, 'mail'], json_decode($child->out(), true));

$child = Child::php('echo ini_get("ferry.url");', ['-d', 'ferry.url="redis:/hunter2:and nothing that can be read"']);
$child->wait();
same('what cannot be read is not shown at all', '(not shown)', $child->out());
$child = Child::php('echo ini_get("ferry.url");', ['-d', 'ferry.url=redis://127.0.0.1:1/0']);
$child->wait();
same('what holds no secret is shown as it is', 'redis://127.0.0.1:1/0', $child->out());
done();
?>
--EXPECT--
ok
