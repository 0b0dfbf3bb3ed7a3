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
    $none = ['queue' => 'default', 'ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0, 'size' => 0];
    same("$name: size as JSON", [$counts], $ferry->run(['size', '--queue=mail', '--json'])->well("$name: size")->json());
    same("$name: the default queue has its name", [$none], $ferry->run(['size', '--json'])->json());
    $table = $ferry->run(['size', '--queue=mail,other'])->well("$name: size of two")->out;
    check("$name: size as a table", preg_match('/^mail +1 +1 +1 +0 +3/m', $table) && preg_match('/^other +0 +0 +0 +0 +0/m', $table), $table);

    foreach (['ready' => 'second', 'delayed' => 'later', 'reserved' => 'ada'] as $state => $data) {
        $peeked = $ferry->run(['peek', '--queue=mail', "--state=$state", '--json'])->well("$name: peek $state")->json();
        same("$name: one is $state", [1, 'mail', $state], [count($peeked), $peeked[0]['queue'], $peeked[0]['state']]);
        holds("$name: $state payload", $data, $peeked[0]['payload']);
    }
    same("$name: peek prints the payload", $connection->peek('mail')[0] . "\n", $ferry->run(['peek', '--queue=mail'])->out);
    same("$name: nothing left", "No ready jobs.\n", $ferry->run(['peek', '--queue=mail', '--offset=1'])->out);
    $ferry->run(['peek', '--state=failed'])->refused("$name: no such state", 2, '--state needs');
    $ferry->run(['peek', '--limit=-1'])->refused("$name: no such limit", 2, '--limit needs');
    same("$name: nothing was changed", 3, $connection->size('mail'));

    $ferry->run(['clear', '--queue=mail', '-n'])->refused("$name: clear without an answer", 1, 'use --force');
    $ferry->run(['clear', '--queue=mail'], "n\n")->refused("$name: clear, no", 1, 'nothing was done');
    same("$name: still there", 3, $connection->size('mail'));
    same("$name: clear", "3 jobs removed from `mail` on `default`.\n", $ferry->run(['clear', '--queue=mail', '--force'])->well("$name: clear")->out);
    same("$name: gone", 0, $connection->size('mail'));
    same("$name: nothing to clear, nothing to ask", "0 jobs removed from `mail` on `default`.\n", $ferry->run(['clear', '--queue=mail', '-n'])->well("$name: nothing to ask")->out);
    same("$name: the default queue has its name", "0 failed jobs removed from `default` on `default`.\n", $ferry->run(['flush'])->well("$name: flush")->out);

    // A list with a space or a comma too many would be another queue, or the default one.
    foreach (['high, mail' => '` mail`', 'mail ' => '`mail `', ',' => 'an empty queue name', 'mail,' => 'an empty queue name', '' => 'an empty queue name'] as $list => $why) {
        foreach (['size', 'peek', 'clear', 'flush', 'failed', 'retry', 'pause', 'monitor', 'doctor'] as $command) {
            $more = ['clear' => ['--force'], 'flush' => ['--force'], 'retry' => ['all'], 'monitor' => ['--once']][$command] ?? [];
            $ferry->run([$command, "--queue=$list", ...$more])->refused("$name: $command --queue=$list", 2, $why);
        }
    }
    $ferry->run(['work', '--once', '--queue=high, mail'])->refused("$name: work", 2, '` mail`');
    $ferry->run(['pause', ' mail'])->refused("$name: pause", 2, '` mail`');
}

// The SQL is the driver's, with the names of the connection, and creates what the driver itself creates.
foreach (['think3', 'think3-legacy', 'think1'] as $family) {
    $own = ['type' => 'sqlite', 'family' => $family, 'table' => 'tasks', 'failed_table' => 'broken'];
    $ferry = Ferry::on($own + ['path' => temp_dir() . "/$family.sqlite"]);
    same("$family: the same as JSON", $ferry->run(['schema'])->well('schema')->out, implode('', array_map(fn ($sql) => rtrim($sql, ';') . ";\n", $ferry->run(['schema', '--json'])->json())));
    (new Ferry\Connection($own + ['path' => temp_dir() . "/$family.sqlite"]))->push('Send');
    $printed = new PDO('sqlite:' . temp_dir() . "/$family-printed.sqlite");
    foreach ([1, 2] as $time) {
        same("$family: the statements run, time $time", 0, $printed->exec($ferry->run(['schema'])->out));
    }
    $made = fn (PDO $file) => $file->query("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY name")->fetchAll(PDO::FETCH_KEY_PAIR);
    same("$family: the same tables", $made(new PDO('sqlite:' . temp_dir() . "/$family.sqlite")), $made($printed));
}
same('no tables', ["-- This broker has no tables.\n", []], [Ferry::on(['type' => 'memory'])->run(['schema'])->out, Ferry::on(['type' => 'memory'])->run(['schema', '--json'])->json()]);
done();
--EXPECT--
ok
