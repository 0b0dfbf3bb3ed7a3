--TEST--
config/queue.php and config/database.php of every ThinkPHP become a configuration of Ferry
--FILE--
<?php

require __DIR__ . '/../support/boot.php';
require project('php/autoload.php');

use Ferry\Think\Extension;
use Ferry\Think\Fallback;
use Ferry\Think\Settings;

$mysql = ['type' => 'mysql', 'hostname' => 'db1,db2', 'hostport' => '3307', 'username' => 'shop', 'password' => 'a,b', 'database' => 'shop', 'prefix' => 'tp_', 'charset' => 'utf8mb4'];
$databases = ['default' => 'mysql', 'connections' => ['mysql' => $mysql, 'lite' => ['type' => 'sqlite', 'database' => '/data/q.sqlite', 'prefix' => ''], 'ora' => ['type' => 'oracle']]];
$of = fn (array $connection, array $more = []) => Settings::whole(['default' => 'a', 'connections' => ['a' => $connection]] + $more, $databases)['connections']['a'];

same('Redis', ['type' => 'redis', 'host' => 'r', 'select' => 2], $of(['type' => 'ferry', 'host' => 'r', 'select' => 2]));
same('a driver', ['type' => 'amqp', 'host' => 'r'], $of(['type' => 'Ferry', 'driver' => 'amqp', 'host' => 'r']));
same('a DSN wins', ['url' => 'redis://r'], $of(['type' => 'ferry', 'driver' => 'amqp', 'url' => 'redis://r']));
same('other types stay', ['type' => 'redis', 'host' => 'r'], $of(['type' => 'redis', 'host' => 'r']));
same('an array of Laravel stays', ['driver' => 'redis', 'host' => 'r'], $of(['driver' => 'redis', 'host' => 'r']));
$place = ['host' => 'db1', 'port' => '3307', 'username' => 'shop', 'password' => 'a,b', 'database' => 'shop'];
same('the default database', ['type' => 'mysql', 'table' => 'tp_jobs', 'failed_table' => 'tp_failed_jobs'] + $place + ['queue' => 'q'], $of(['type' => 'ferry', 'queue' => 'q', 'table' => 'jobs', 'connection' => null]));
same("think-queue's own connection to it, for the console", ['type' => 'mysql', 'table' => 'tp_jobs', 'failed_table' => 'tp_failed_jobs'] + $place + ['queue' => 'q'], $of(['type' => 'database', 'queue' => 'q', 'table' => 'jobs', 'connection' => null]));
same('one that says its database itself', ['type' => 'database', 'driver' => 'mysql', 'host' => 'h'], $of(['type' => 'database', 'driver' => 'mysql', 'host' => 'h']));
same('another one', ['type' => 'sqlite', 'table' => 'j', 'failed_table' => 'f', 'path' => '/data/q.sqlite'], $of(['type' => 'ferry', 'driver' => 'database', 'table' => 'j', 'connection' => 'lite'], ['failed' => ['table' => 'f']]));
same('a host of its own', ['type' => 'postgres', 'host' => 'h', 'database' => 'd'], $of(['type' => 'ferry', 'driver' => 'pgsql', 'host' => 'h', 'database' => 'd']));

same('a connection that cannot be used is refused alone, when it is used', ['type' => 'database'], $of(['type' => 'ferry', 'table' => 'jobs', 'connection' => 'nope']));
$refused = fn (array $connection) => (string) Settings::problem(['connections' => ['a' => $connection]], $databases, 'a');
same('nothing to refuse', '', $refused(['type' => 'ferry']) . $refused(['type' => 'redis']));
holds('a database that Ferry cannot use', 'type `oracle`', $refused(['type' => 'ferry', 'table' => 'jobs', 'connection' => 'ora']));
holds('a database that is not there', 'no connection `nope`', $refused(['type' => 'ferry', 'table' => 'jobs', 'connection' => 'nope']));

$sync = fn (string $name) => Settings::takenForSync(['connections' => ['a' => ['type' => 'sync'], 'laravel' => ['driver' => 'redis', 'queue' => 'q'], 'none' => ['host' => 'h']]], $name);
same('sync that was asked for', null, $sync('a'));
holds('a connection that is not there', 'has no connection `ferry` (it has `a`, `laravel`, `none`): think-queue takes it for `sync`', $sync('ferry'));
holds("Laravel's array", 'no `type`, and think-queue takes it for `sync`, which has no jobs to work: write `type` in place of `driver`', $sync('laravel'));
holds('no type', '`none` has no `type`', $sync('none'));

// v1 and v2: one connection, of the older family.
$flat = ['connector' => 'Ferry', 'expire' => null, 'default' => 'mails', 'host' => 'r'];
same('the flat array', ['default' => 'default', 'connections' => ['default' => ['type' => 'redis', 'queue' => 'mails', 'retry_after' => 'never', 'host' => 'r', 'family' => 'think1']], 'failed' => ['type' => 'keep']], Settings::whole($flat, [], 'think1'));
$five = Settings::whole(['connector' => 'ferry', 'table' => 'jobs'], ['type' => 'mysql', 'hostname' => 'h', 'database' => 'd', 'username' => 'u', 'password' => '', 'hostport' => ''], 'think1');
same('the flat database.php of 5', ['type' => 'mysql', 'table' => 'jobs', 'failed_table' => 'failed_jobs', 'host' => 'h', 'username' => 'u', 'database' => 'd', 'queue' => 'default', 'retry_after' => 60, 'family' => 'think1'], $five['connections']['default']);
same('a default that is missing is sync, as in think-queue', ['type' => 'sync'], Settings::whole(['default' => 'a', 'connections' => ['b' => ['type' => 'ferry']]], [])['connections']['a']);

$failed = fn (array $failed) => Settings::whole(['connections' => ['a' => ['type' => 'ferry']], 'failed' => $failed], [])['failed'];
same('stores of think-queue are its own', [['type' => 'keep', 'table' => 't'], ['type' => 'discard'], ['type' => 'keep']], [$failed(['type' => 'app\\Store', 'table' => 't', 'x' => 1]), $failed(['type' => 'discard']), $failed([])]);

$shares = fn (array $connection, string $type = 'database') => Settings::sharesFailedTable(['connections' => ['a' => $connection], 'failed' => ['type' => $type]], $databases, 'a');
same('who shares the table of failed jobs', [true, false, false, false], [
    $shares(['type' => 'ferry', 'table' => 'jobs']), $shares(['type' => 'ferry', 'table' => 'jobs'], 'none'),
    $shares(['type' => 'ferry', 'table' => 'jobs', 'connection' => 'lite']), $shares(['type' => 'ferry', 'host' => 'r']),
]);

same('whose driver stands in', ['redis', 'database', 'database', 'redis', 'amqp'], array_map([Fallback::class, 'driver'], [[], ['table' => 'jobs'], ['driver' => 'mysql'], ['url' => 'rediss://r'], ['url' => 'amqp://r']]));
holds('a missing extension', 'extension=ferry', Extension::problem(null));
holds('an older extension', '0.1.0 is older than the Composer package ferry/php', Extension::problem('0.1.0'));
same('this and newer ones', [null, null], [Extension::problem(phpversion('ferry')), Extension::problem('99.0.0')]);
done();
--EXPECT--
ok
