--TEST--
size, peek and clear, on SQLite and Redis; schema prints what the driver creates
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

foreach (shared_brokers() as $name => $config) {
    $ferry = Ferry::on($config);
    $connection = use_broker($config);
    $connection->push('Send', ['to' => 'ada'], 'mail');
    $connection->push('Send', 'second', 'mail');
    $connection->later(600, 'Send', 'later', 'mail');
    $connection->pop('mail');

    $counts = ['queue' => 'mail', 'ready' => 1, 'delayed' => 1, 'reserved' => 1, 'failed' => 0, 'size' => 3];
    $none = ['queue' => null, 'ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0, 'size' => 0];
    same("$name: size as JSON", [$counts], $ferry->run(['size', '--queue=mail', '--json'])->well("$name: size")->json());
    same("$name: the own queue", [$none], $ferry->run(['size', '--json'])->json());
    $table = $ferry->run(['size', '--queue=mail,other'])->well("$name: size of two")->out;
    check("$name: size as a table", preg_match('/^mail +1 +1 +1 +0 +3/m', $table) && preg_match('/^other +0 +0 +0 +0 +0/m', $table), $table);

    foreach (['ready' => 'second', 'delayed' => 'later', 'reserved' => 'ada'] as $state => $data) {
        $peeked = $ferry->run(['peek', '--queue=mail', "--state=$state", '--json'])->well("$name: peek $state")->json();
        same("$name: one is $state", [1, 'mail', $state], [count($peeked), $peeked[0]['queue'], $peeked[0]['state']]);
        holds("$name: $state payload", $data, $peeked[0]['payload']);
    }
    same("$name: peek prints the payload", $connection->peek('mail')[0] . "\n", $ferry->run(['peek', '--queue=mail'])->out);
    same("$name: nothing left", "No ready jobs.\n", $ferry->run(['peek', '--queue=mail', '--offset=1'])->out);
    $ferry->run(['peek', '--state=failed'])->refused("$name: no such state", 2, '--state wants');
    $ferry->run(['peek', '--limit=-1'])->refused("$name: no such limit", 2, '--limit wants');
    same("$name: nothing was changed", 3, $connection->size('mail'));

    $ferry->run(['clear', '--queue=mail', '-n'])->refused("$name: clear without an answer", 1, 'say --force');
    $ferry->run(['clear', '--queue=mail'], "n\n")->refused("$name: clear, no", 1, 'nothing was done');
    same("$name: still there", 3, $connection->size('mail'));
    same("$name: clear", "3 jobs removed from `mail` on `default`.\n", $ferry->run(['clear', '--queue=mail', '--force'])->well("$name: clear")->out);
    same("$name: gone", 0, $connection->size('mail'));
}

// The same SQL as the driver's, for every family.
foreach (['think3', 'think3-legacy', 'think1'] as $family) {
    $path = temp_dir() . "/$family.sqlite";
    $connection = new Ferry\Connection(['type' => 'sqlite', 'path' => $path, 'family' => $family, 'table' => 'tasks', 'failed_table' => 'broken']);
    $connection->push('Send');
    $made = (new PDO("sqlite:$path"))->query("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'")->fetchAll(PDO::FETCH_COLUMN);
    $words = ["--family=$family", '--table=tasks', '--failed-table=broken', '--json'];
    $printed = array_merge(...array_map(fn ($part) => Ferry::on(['type' => 'memory'])->run(['schema', $part, ...$words])->well("schema $part")->json(), ['jobs', 'failed']));
    // SQLite keeps the text but for IF NOT EXISTS.
    $printed = array_map(fn ($sql) => str_replace('IF NOT EXISTS ', '', $sql), $printed);
    sort($made);
    sort($printed);
    same("schema of $family", $made, $printed);
}
$ferry = Ferry::on(['type' => 'memory']);
$all = $ferry->run(['schema'])->well('schema')->out;
$file = new PDO('sqlite:' . temp_dir() . '/schema.sqlite');
foreach ([1, 2] as $time) {
    same("the whole of it runs, time $time", 0, $file->exec($all));
}
same('tables', ['failed_jobs', 'ferry_flags', 'ferry_workers', 'jobs'], $file->query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")->fetchAll(PDO::FETCH_COLUMN));
same('Ferry takes them', 0, (new Ferry\Connection('sqlite:' . temp_dir() . '/schema.sqlite'))->size());
$ferry->run(['schema', 'users'])->refused('no such part', 2, 'the part is');
$ferry->run(['schema', '--driver=mysql'])->refused('no such driver', 2, 'mysql is not in this version');
$ferry->run(['schema', '--table=a b'])->refused('no table name', 2, '--table wants');
done();
--EXPECT--
ok
