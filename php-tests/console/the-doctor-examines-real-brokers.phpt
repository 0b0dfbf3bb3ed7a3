--TEST--
doctor on real brokers: exit code 0, 1 or 2, findings for people and machines, nothing changed
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

/** topic => level, of a doctor's JSON. */
function found(Said $said): array
{
    return array_column($said->json()['findings'], 'level', 'topic');
}

// A Redis as one should have it.
$server = RedisServer::start(['--appendonly', 'yes']);
at_the_end(function () {
    // Redis 7 makes a folder for it.
    array_map('unlink', glob(temp_dir() . '/appendonlydir/*'));
    @rmdir(temp_dir() . '/appendonlydir');
});
$ferry = Ferry::on($server->config());
$good = $ferry->run(['doctor', '--json'])->well('a good Redis');
same('worst', 'ok', $good->json()['worst']);
same('all of it is well, but object jobs may make anything', ['Object jobs' => 'note'], array_diff(found($good), ['ok']));
same('what was looked at', [], array_diff(['Ferry', 'PHP', 'pcntl', 'Redis version', 'Role', 'Eviction', 'Persistence', 'Redis memory', 'Clients', 'Round trip', 'Clocks', 'retry_after', 'Timeout', 'Workers', 'Queue default'], array_keys(found($good))));
same('the shape of a finding', ['level', 'topic', 'means', 'change'], array_keys($good->json()['findings'][0]));
$redis = $server->client();
same('it left nothing behind', [], $redis->keys('*'));

// What is dangerous, and what to do about it.
$redis->config('SET', 'maxmemory', '100mb');
$redis->config('SET', 'maxmemory-policy', 'allkeys-lru');
$bad = $ferry->run(['doctor']);
same('eviction is bad', 2, $bad->code);
check('said so', preg_match('/^bad +Eviction +allkeys-lru: .*whole queues.*\n +Set `maxmemory-policy noeviction`/m', $bad->out) === 1, $bad->out);
$redis->config('SET', 'maxmemory-policy', 'noeviction');
$redis->config('SET', 'appendonly', 'no');
$redis->config('SET', 'save', '60 1');
$snapshots = $ferry->run(['doctor', '--json']);
same('snapshots only', [1, 'warn', 'warn'], [$snapshots->code, $snapshots->json()['worst'], found($snapshots)['Persistence']]);
$redis->config('SET', 'save', '');
same('no persistence', 'bad', found($ferry->run(['doctor', '--json']))['Persistence']);
$redis->config('SET', 'appendonly', 'yes');

// Settings, wherever they stand.
same('from the DSN', 'warn', found(Ferry::on($server->config(['retry_after' => 5]))->run(['doctor', '--json']))['retry_after']);
same('from the option', 'warn', found($ferry->run(['doctor', '--json', '--retry-after=never']))['retry_after']);
// The configuration that counts, wherever another one stands.
same('a bootstrap file before FERRY_URL', 'warn', found(Ferry::on($server->config(['retry_after' => 60]))->run(['doctor', '--json', '--bootstrap=' . bootstrap('Ferry\Queue::configure(' . var_export('redis://127.0.0.1:' . $server->port . '?retry_after=5', true) . ');')]))['retry_after']);
$ferry->run(['doctor', '--retry-after=soon'])->refused('no such lease', 2, '--retry-after needs');
// The configuration of a whole application holds more than Ferry reads: worth a note, no warning.
if (method_exists(Ferry\Queue::class, 'notices')) {
    file_put_contents(temp_dir() . '/whole.php', '<?php return ' . var_export(['default' => 'redis', 'prefix' => 'app', 'connections' => ['redis' => $server->config(), 'old' => ['type' => 'topthink']]], true) . ';');
    $whole = $ferry->run(['doctor', '--json', '--config=whole.php'])->well('a whole application');
    $notes = array_filter($whole->json()['findings'], fn ($finding) => $finding['topic'] === 'Configuration');
    same('two notes', ['note', 'note'], array_column($notes, 'level'));
    check('the key and the connection', preg_match('/`prefix`.*`old`/s', implode(' ', array_column($notes, 'means'))) === 1, $notes);
}
// Who may be made from a payload: what the workers are told, by their command line or the bootstrap file.
$object_jobs = fn (array $words) => array_column($ferry->run(['doctor', '--json', ...$words])->json()['findings'], 'means', 'topic')['Object jobs'];
holds('any class', 'any class', $object_jobs([]));
same('a list', '2 classes allowed', $object_jobs(['--allowed-classes=A', '--allowed-classes=B']));
same('none but those that are named', 'only handlers that are named', $object_jobs(['--strict']));
same('from a bootstrap file', '1 class allowed', $object_jobs(['--bootstrap=' . bootstrap('return ["allowed_classes" => ["Letter"]];')]));
same('no timeout', 'warn', found($ferry->run(['doctor', '--json', '--timeout=0']))['Timeout']);
file_put_contents(temp_dir() . '/queue.php', '<?php return ' . var_export(['default' => 'redis', 'connections' => ['redis' => $server->config(['retry_after' => 7200])]], true) . ';');
same('from --config', 'warn', found($ferry->run(['doctor', '--json', '--config=queue.php']))['retry_after']);
$boot = bootstrap('Ferry\Queue::configure(' . var_export('redis://127.0.0.1:' . $server->port . '?retry_after=5', true) . ');');
same('from a bootstrap file', 'warn', found((new Ferry())->run(['doctor', '--json', "--bootstrap=$boot"]))['retry_after']);
same('old workers as they are shipped', 'bad', found($ferry->run(['doctor', '--json', '--old-workers']))['Old workers']);
same('old workers with another lease', 'ok', found($ferry->run(['doctor', '--json', '--old-retry-after=90']))['Old workers']);

// Jobs.
$connection = use_broker($server->config());
$connection->push('Nobody', '', 'mail');
$connection->push('Nobody', '', 'other');
$connection->pop('other')->fail('no');
$jobs = $ferry->run(['doctor', '--json', '--queue=mail,other']);
same('a queue that nobody works', 'warn', found($jobs)['Queue mail']);
same('failed jobs', 'warn', found($jobs)['Queue other']);

// A user who may not ask for everything is examined as far as possible.
$redis->rawCommand('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '+@all', '-config', '-info');
$limited = Ferry::on(['type' => 'redis', 'host' => 'app:pw@127.0.0.1', 'port' => $server->port])->run(['doctor', '--json']);
check('without INFO and CONFIG', $limited->code < 2 && !isset(found($limited)['Eviction']) && isset(found($limited)['Clocks']), $limited->out . $limited->err);

// No broker, wrong configuration, wrong call.
$server->stop();
$gone = $ferry->run(['doctor', '--json']);
same('no broker', [2, 'bad'], [$gone->code, found($gone)['Broker']]);
(new Ferry(['FERRY_URL' => 'redis://h?hots=1']))->run(['doctor'])->refused('a wrong DSN', 2, '`hots`');
$ferry->run(['doctor', '--timeout=soon'])->refused('a wrong call', 2, '--timeout needs');

// SQLite.
$config = ['type' => 'sqlite', 'path' => temp_dir() . '/jobs.sqlite'];
$said = Ferry::on($config)->run(['doctor', '--json']);
check('a good file', $said->code === 0, $said->out . $said->err);
same('what was looked at', [], array_diff(['SQLite version', 'Journal', 'Synchronous', 'Busy timeout', 'File', 'Disk'], array_keys(found($said))));
$file = new PDO("sqlite:$config[path]");
same('nothing but the tables', [], $file->query('SELECT * FROM jobs')->fetchAll());
same('too little patience', 'warn', found(Ferry::on($config + ['busy_timeout' => '0.5'])->run(['doctor', '--json']))['Busy timeout']);
same('a shared table', 'bad', found(Ferry::on($config)->run(['doctor', '--json', '--old-timeout=80', '--old-retry-after=90']))['Shared table']);
// A table of another family.
$old = temp_dir() . '/old.sqlite';
(new PDO("sqlite:$old"))->exec('CREATE TABLE jobs (id INTEGER PRIMARY KEY, queue TEXT, payload TEXT, attempts INTEGER, reserved INTEGER, reserved_at INTEGER, available_at INTEGER, created_at INTEGER)');
$said = Ferry::on(['type' => 'sqlite', 'path' => $old])->run(['doctor']);
same('a table of think-queue v1', 2, $said->code);
holds('says which family it is', 'think1', $said->out . $said->err);
done();
--EXPECT--
ok
