--TEST--
pause, resume, restart and stop reach workers and masters, on SQLite and Redis; monitor and doctor show them
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

foreach (shared_brokers(['queue' => 'own']) as $name => $config) {
    $connection = use_broker($config);
    $book = new Book();
    $ferry = Ferry::on($config);
    $master = $ferry->start(['work', '-p', '2', '--bootstrap=' . $book->bootstrap(), '--queue=a,b']);
    $listener = $ferry->start(['listen', '--bootstrap=' . $book->bootstrap(), '--queue=c', '--sleep=1']);
    $first = wait_for_children($master, 2);
    wait_until(fn () => count($connection->workers()) >= 2, 'they report');

    same("$name: pause", "Paused: `a` on `default`.\n", $ferry->run(['pause', 'a'])->well("$name: pause")->out);
    same("$name: pause two", 0, $ferry->run(['pause', '--queue=x,y'])->code);
    same("$name: pause the default queue", "Paused: `own` on `default`.\n", $ferry->run(['pause'])->well("$name: pause the default queue")->out);
    // A queue that nothing knows is paused all the same, with a warning.
    $connection->push('Note', 'waits', 'filled');
    $ferry->run(['pause', 'filled'])->well("$name: a queue with jobs");
    $typo = $ferry->run(['pause', 'ownn']);
    same("$name: a typing mistake", [0, "Paused: `ownn` on `default`.\n"], [$typo->code, $typo->out]);
    holds("$name: a typing mistake is noticed", 'no worker works the queue `ownn`, and it holds no jobs (did you mean own?)', $typo->err);
    holds("$name: and one of resume", 'the queue `filed` was not paused (did you mean filled?)', $ferry->run(['resume', 'filed'])->err);
    $ferry->run(['resume', 'ownn', 'filled'])->well("$name: both again");
    same("$name: flags", ['a', 'own', 'x', 'y'], array_keys($connection->flags()['paused']));
    // Flags are looked at once a second: by then all have seen them.
    $seen = clock() + 2;
    wait_until(fn () => clock() > $seen, 'the flags are seen');
    $connection->push('Note', 'paused', 'a');
    $connection->push('Note', 'open', 'b');
    $book->waitFor('open by');
    same("$name: the paused queue was left alone", 1, $connection->stats('a')['ready']);

    $report = json_decode($ferry->run(['monitor', '--once', '--json'])->well("$name: monitor")->out, true);
    $queues = array_column($report['queues'], null, 'queue');
    same("$name: monitor knows the queues", [], array_diff(['own', 'a', 'b', 'x', 'y'], array_keys($queues)));
    same("$name: and what is paused", [true, false, 1], [$queues['a']['paused'], $queues['b']['paused'], $queues['a']['ready']]);
    check("$name: and who works", count(array_intersect($first, array_column($report['workers'], 'pid'))) === 2, $report['workers']);
    $lines = $ferry->run(['monitor', '--once', '--queue=a,b'])->well("$name: plain monitor")->out;
    check("$name: plain lines", preg_match('/^\S+ \S+ queue=a ready=1 delayed=0 reserved=0 failed=0 growth\/s=- oldest>=0 s paused$/m', $lines) === 1, $lines);
    $doctor = $ferry->run(['doctor', '--queue=a', '--json']);
    $found = array_column($doctor->json()['findings'], null, 'topic');
    same("$name: the doctor warns", 'warn', $found['Queue a']['level']);
    holds("$name: and says what to do", '`ferry resume a`', $found['Queue a']['change']);

    same("$name: resume", "Resumed: `a` on `default`.\n", $ferry->run(['resume', 'a'])->well("$name: resume")->out);
    $book->waitFor('paused by');
    $ferry->run(['resume', '--all'])->well("$name: resume all");
    same("$name: nothing is paused", [], $connection->flags()['paused']);

    $ferry->run(['restart'])->well("$name: restart");
    $second = wait_for_children($master, 2, $first);
    $connection->push('Note', 'restarted', 'b');
    $book->waitFor('restarted by');
    check("$name: the master is the same", $master->isRunning());
    $connection->push('Note', 'listened', 'c');
    $book->waitFor('listened by');

    // Both have to have started after the restart, or they would take the stop for a state they began with.
    wait_until(fn () => array_diff($second, array_column($connection->workers(), 'pid')) === [], 'the new ones report');
    $ferry->run(['stop'])->well("$name: stop");
    same("$name: the master leaves with", 0, $master->wait());
    holds("$name: and says why", 'all workers were told to stop', $master->out());
    same("$name: the listener leaves with", 0, $listener->wait());
}

// Where there is no place for flags.
Ferry::on(['type' => 'memory'])->run(['pause'])->well('memory has flags of its own');
(new Ferry(['FERRY_URL' => 'sync:']))->run(['pause'])->refused('sync has none', 2, 'sync');
done();
--EXPECT--
ok
