--TEST--
What the doctor makes of facts: ok, warnings with advice, and what is bad
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('mbstring'); ?>
--EXTENSIONS--
mbstring
--FILE--
<?php
require __DIR__ . '/../support/boot.php';
require_once project('php/autoload.php');

use Ferry\Console\Doctor\AmqpChecks as Amqp_;
use Ferry\Console\Doctor\Checks;
use Ferry\Console\Doctor\Finding;
use Ferry\Console\Doctor\PostgresChecks as Postgres_;
use Ferry\Console\Doctor\RedisChecks as Redis_;
use Ferry\Console\Doctor\SqliteChecks as Sqlite_;

function level(?Finding $finding): ?string
{
    if ($finding !== null) {
        same("$finding->topic: advice where something is wrong, and only there", $finding->level !== 'ok', $finding->change !== '');
    }
    return $finding?->level;
}
/** @param list<Finding> $findings */
function levels(array $findings): array
{
    return array_map('level', $findings);
}

foreach ([[null, null], ['3.9.29', 'bad'], ['3.10.8', 'ok'], ['4.1.0', 'warn']] as [$version, $level]) {
    same("RabbitMQ $version", $level, level(Amqp_::version($version)));
}
// The server tells only those who publish: what it does not tell is not known.
same('alarm', ['bad', 'note', null], [level(Amqp_::blocked(true)), level(Amqp_::blocked(false)), level(Amqp_::blocked(null))]);
same('dead tasks', [null, 'warn', 'ok'], [level(Amqp_::deadLetters(null, null, '/')), level(Amqp_::deadLetters(3, null, 'app')), level(Amqp_::deadLetters(3, 0, '/'))]);
holds('which command', 'ferry schema amqp --vhost=app', Amqp_::deadLetters(3, null, 'app')->change);
same('round trip', ['ok', 'warn', null], [level(Amqp_::trip(0.001)), level(Amqp_::trip(0.2)), level(Amqp_::trip(null))]);
same('heartbeat', ['ok', 'warn', null], [level(Amqp_::heartbeat(60.0)), level(Amqp_::heartbeat(0.0)), level(Amqp_::heartbeat(null))]);
foreach ([[null, 60, null], [1800, 60, 'ok'], [1800, 1700, 'bad'], [1800, 0, 'bad'], [0, 0, 'ok']] as [$limit, $timeout, $level]) {
    same("consumer timeout $limit with $timeout", $level, level(Amqp_::patience($limit === null ? null : (float) $limit, (float) $timeout)));
}
same('transport', ['ok', 'ok', 'warn', null], [level(Amqp_::tls(true, 'far:5671')), level(Amqp_::tls(false, '127.0.0.1:5672')), level(Amqp_::tls(false, 'far:5672')), level(Amqp_::tls(null, 'x'))]);
foreach ([[null, null], ['4.0.14', 'bad'], ['5.0.0', 'warn'], ['6.2.0', 'ok'], ['7.0.15', 'ok'], ['10.0', 'ok']] as [$version, $level]) {
    same("Redis $version", $level, level(Redis_::version($version)));
}
same('roles', ['ok', 'bad', null], [level(Redis_::role('master')), level(Redis_::role('slave')), level(Redis_::role(null))]);
same('cluster', ['bad', null], [level(Redis_::cluster(true)), level(Redis_::cluster(false))]);
foreach ([[0, 'noeviction', 'ok'], [1, 'noeviction', 'ok'], [0, 'allkeys-lru', 'warn'], [1 << 30, 'allkeys-lru', 'bad'], [null, 'allkeys-random', 'bad'], [1 << 30, 'volatile-ttl', 'ok'], [0, null, null]] as [$limit, $policy, $level]) {
    same("eviction $policy with $limit", $level, level(Redis_::eviction($limit, $policy)));
}
foreach ([[true, null, 'ok'], [false, true, 'warn'], [false, false, 'bad'], [false, null, 'warn'], [null, true, null]] as [$aof, $rdb, $level]) {
    same('persistence ' . json_encode([$aof, $rdb]), $level, level(Redis_::persistence($aof, $rdb)));
}
same('memory', ['ok', 'ok', 'warn', null], [level(Redis_::memory(50, 100)), level(Redis_::memory(50, 0)), level(Redis_::memory(81, 100)), level(Redis_::memory(null, 0))]);
same('clients', ['ok', 'warn', null], [level(Redis_::clients(10, 100)), level(Redis_::clients(90, 100)), level(Redis_::clients(10, null))]);
same('round trip', ['ok', 'warn', null], [level(Redis_::distance(0.0001)), level(Redis_::distance(0.05)), level(Redis_::distance(null))]);
same('nothing known, nothing judged', [], Redis_::all([]));

same('journal', ['ok', 'warn', null], [level(Sqlite_::journal('wal')), level(Sqlite_::journal('delete')), level(Sqlite_::journal(null))]);
same('file system', ['ok', 'bad', null], [level(Sqlite_::filesystem('ext4')), level(Sqlite_::filesystem('nfs4')), level(Sqlite_::filesystem(null))]);
same('synchronous', ['ok', 'ok', 'bad', null], array_map(fn ($one) => level(Sqlite_::synchronous($one)), ['full', 'normal', 'off', null]));
same('busy timeout', ['warn', 'ok', null], array_map(fn ($one) => level(Sqlite_::patience($one)), [0.5, 10.0, null]));
same('file', ['ok', 'warn', 'ok', null], [level(Sqlite_::space(10, 9, 4096)), level(Sqlite_::space(20_000, 15_000, 4096)), level(Sqlite_::space(20_000, 10, null)), level(Sqlite_::space(null, 1, 1))]);
same('disk', ['bad', 'warn', 'ok', null], array_map(fn ($one) => level(Sqlite_::disk($one)), [1, 100 << 20, 10 << 30, null]));
same('nothing known, nothing judged', [], Sqlite_::all([]));

same('writable', ['ok', 'bad', null], [level(Postgres_::writable(false)), level(Postgres_::writable(true)), level(Postgres_::writable(null))]);
same('index', ['ok', 'bad', null], array_map(fn ($one) => level(Postgres_::index($one, 'ferry_jobs')), ['present', 'missing', null]));
same('waiting', ['ok', 'warn', null], array_map(fn ($one) => level(Postgres_::waiting($one)), ['LISTEN', 'polling', null]));
same('connections', ['ok', 'warn', null], [level(Postgres_::connections(10, 100)), level(Postgres_::connections(90, 100)), level(Postgres_::connections(1, null))]);
same('isolation', ['ok', 'warn', null], array_map(fn ($one) => level(Postgres_::isolation($one)), ['read committed', 'serializable', null]));
same('commits', ['ok', 'warn', null], array_map(fn ($one) => level(Postgres_::durability($one)), ['on', 'off', null]));
same('encoding', ['ok', 'warn', null], array_map(fn ($one) => level(Postgres_::encoding($one)), ['UTF8', 'LATIN1', null]));
same('nothing known, nothing judged', [], Postgres_::all([]));

foreach ([[0.2, 'ok'], [-0.9, 'ok'], [1.5, 'warn'], [-4.0, 'warn'], [31.0, 'bad'], [-3600.0, 'bad'], [null, null]] as [$skew, $level]) {
    same("clock $skew", $level, level(Checks::clock($skew)));
}
foreach ([[60, 60.0, ['ok', 'ok']], [60, 3600.0, ['ok', 'ok']], ['never', 60.0, ['warn', 'ok']], [5, 60.0, ['warn', 'ok']], [7200, 60.0, ['warn', 'ok']], [60, 0.0, ['ok', 'warn']]] as [$lease, $timeout, $found]) {
    same('leases ' . json_encode([$lease, $timeout]), $found, levels(Checks::leases($lease, $timeout)));
}
// Ours, their retry_after, their timeout.
foreach ([
    [60, 60, 60, 'redis', ['bad']],          // as think-queue is shipped
    [60, 90, 60, 'redis', ['ok']],
    [60, 90, 0, 'redis', ['bad']],
    [90, 90, 60, 'sqlite', ['ok', 'ok']],
    [60, 90, 60, 'sqlite', ['ok', 'bad']],   // we would free theirs too early
    [600, 90, 60, 'sqlite', ['ok', 'bad']],  // they would free ours between two renewals
    ['never', 90, 60, 'sqlite', ['ok']],
] as [$ours, $retry_after, $timeout, $driver, $found]) {
    same('old workers ' . json_encode([$ours, $retry_after, $timeout, $driver]), $found, levels(Checks::oldWorkers($ours, $retry_after, $timeout, $driver)));
}

foreach ([[null, false, 'note'], [null, true, 'ok'], [[], false, 'ok'], [['A'], true, 'ok']] as [$allowed, $strict, $level]) {
    same('object jobs ' . json_encode([$allowed, $strict]), $level, level(Checks::objectJobs($allowed, $strict)));
}

$worker = fn (int $seen, string ...$queues) => ['id' => "host:1:$seen", 'seen' => $seen, 'queues' => $queues];
$stats = ['ready' => 3, 'delayed' => 0, 'reserved' => 0, 'failed' => 0];
same('extensions', ['ok', 'ok', 'bad'], array_map(fn ($version) => level(Checks::extension($version)), [phpversion('ferry'), '99.0.0', '0.1.9']));
holds('an older one', 'older than the Composer package', Checks::extension('0.1.9')->means);
same('worked', ['ok'], levels(Checks::queue('mail', $stats, [$worker(99, 'mail')], [], 100)));
same('nobody works', ['warn'], levels(Checks::queue('mail', $stats, [$worker(99, 'other')], [], 100)));
same('nothing to do', ['ok'], levels(Checks::queue('mail', ['ready' => 0] + $stats, [], [], 100)));
same('who works is not known', ['ok'], levels(Checks::queue('mail', $stats, null, [], 100)));
same('paused', ['warn'], levels(Checks::queue('mail', $stats, [], ['mail' => 50], 100)));
same('counts that the broker tells', '3 ready, 0 failed', Checks::queue('mail', ['delayed' => null, 'reserved' => null] + $stats, null, [], 100)[0]->means);
same('failed jobs', ['ok', 'warn'], levels(Checks::queue('mail', ['ready' => 0, 'failed' => 2] + $stats, [], [], 100)));
same('workers', ['ok', 'ok', 'warn', 'warn'], [level(Checks::workers([], 100)), level(Checks::workers([$worker(95)], 100)), level(Checks::workers([$worker(95), $worker(60)], 100)), level(Checks::workers(null, 100))]);

$php = ['version' => '8.2.0', 'pcntl' => true, 'posix' => true, 'proc_open' => true, 'memory_limit' => 128 << 20, 'files' => 1024];
same('a good PHP', [], array_diff(levels(Checks::php($php)), ['ok']));
foreach ([['pcntl' => false], ['memory_limit' => 32 << 20], ['files' => 100]] as $change) {
    same('PHP with ' . json_encode($change), 1, Finding::worst(Checks::php($change + $php)));
}
same('no processes', 2, Finding::worst(Checks::php(['proc_open' => false] + $php)));
same('no findings', 0, Finding::worst([]));
same('notices change nothing', [0, ['note', 'note']], [Finding::worst(Checks::configuration(['a', 'b'])), array_column(Checks::configuration(['a', 'b']), 'level')]);
same('what is not known is no warning', 0, Finding::worst([Amqp_::blocked(false)]));
done();
--EXPECT--
ok
