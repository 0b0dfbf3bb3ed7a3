--TEST--
work --processes: killed workers are started again, HUP renews them without a gap, TERM lets jobs finish, a second one gives them back
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

foreach (shared_brokers() as $name => $config) {
    $connection = use_broker($config);
    $book = new Book();
    $ferry = Ferry::on($config);
    $master = $ferry->start(['work', '--processes=2', '--bootstrap=' . $book->bootstrap(), '--queue=a']);
    $first = wait_for_children($master, 2);
    wait_until(fn () => count($connection->workers()) === 2, 'both report');

    // Killed: another one takes the place, at once.
    posix_kill($first[0], SIGKILL);
    $second = wait_for_children($master, 2, [$first[0]]);
    check("$name: the other one was left alone", in_array($first[1], $second, true));
    holds("$name: said so", "(pid $first[0]) was ended by signal 9", $master->err());

    // HUP under load: nobody is missing at any time, no job is lost, none runs twice.
    $pids = fn () => array_column($connection->workers(), 'pid');
    wait_until(fn () => array_diff($second, $pids()) === [], 'both report again');
    $master->signal(SIGHUP);
    $pushed = 0;
    $fewest = PHP_INT_MAX;
    wait_until(function () use ($connection, $master, $second, &$pushed, &$fewest) {
        $connection->push('Note', 'job ' . ++$pushed, 'a');
        $fewest = min($fewest, count(children_of($master->pid)));
        return substr_count($master->out(), 'takes over from') === 2 && array_intersect(children_of($master->pid), $second) === [];
    }, 'both were replaced');
    $third = wait_for_children($master, 2, $second);
    check("$name: never fewer than two", $fewest >= 2, $fewest);
    wait_until(fn () => $connection->size('a') === 0, 'all jobs are done');
    $ran = array_map(fn ($line) => explode(' by ', $line)[0], $book->lines());
    sort($ran, SORT_NATURAL);
    same("$name: every job ran once", array_map(fn ($number) => "job $number", range(1, $pushed)), $ran);

    // Renewed one by one: the second newcomer was started after the first had taken over.
    $said = array_values(array_filter(explode("\n", $master->out()), fn ($line) => preg_match('/worker \d+ starts:|takes over/', $line)));
    $order = array_map(fn ($line) => str_contains($line, 'takes over') ? 'over' : 'start', array_slice($said, -4));
    same("$name: one by one", ['start', 'over', 'start', 'over'], $order);

    // USR2 reaches all, and those who start later; CONT too.
    $master->signal(SIGUSR2);
    $states = fn () => array_count_values(array_column($connection->workers(), 'state'));
    wait_until(fn () => ($states()['paused'] ?? 0) >= 2, 'both are paused');
    posix_kill($third[1], SIGKILL);
    $fourth = wait_for_children($master, 2, [$third[1]]);
    $connection->push('Note', 'after the pause', 'a');
    wait_until(fn () => substr_count($master->out(), 'paused') >= 4, "the new one is paused too; so far:\n{$master->out()}");
    same("$name: nobody works", 1, $connection->stats('a')['ready']);
    $master->signal(SIGCONT);
    $book->waitFor('after the pause by');

    // TERM: the running job is finished, nothing new is begun.
    $gate = temp_dir() . '/gate-' . bin2hex(random_bytes(4));
    $connection->push('Held', $gate, 'a');
    $book->waitFor('held by');
    $begun = clock();
    $master->signal(SIGTERM);
    wait_for_children($master, 1);
    touch($gate);
    same("$name: left with", 0, $master->wait());
    $book->waitFor('let go by');
    same("$name: nothing is left", ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], $connection->stats('a'));
    same("$name: only who was killed did not sign off", [], array_diff(array_column($connection->workers(), 'pid'), [$first[0], $third[1]]));

    // Who was told to leave by HUP is not told again by the first TERM: its job goes on.
    $master = $ferry->start(['work', '-p1', '--bootstrap=' . $book->bootstrap(), '--queue=a']);
    unlink($gate);
    $held = count($book->lines());
    $connection->push('Held', $gate, 'a');
    wait_until(fn () => count($book->lines()) === $held + 1, 'it holds the job');
    $master->signal(SIGHUP);
    $master->says('takes over from');
    $later = clock() + 0.6;
    wait_until(fn () => clock() > $later, 'another signal would count');
    // Two at once are one.
    $master->signal(SIGTERM);
    $master->signal(SIGINT);
    wait_for_children($master, 1);
    touch($gate);
    same("$name: left with", 0, $master->wait());
    same("$name: the job was finished", $held + 2, count($book->lines()));
    check("$name: said once", !str_contains($master->out(), 'again: running jobs are stopped'), $master->out());

    // A second TERM: the job is stopped and goes back, as it came.
    $master = $ferry->start(['work', '-p1', '--bootstrap=' . $book->bootstrap(), '--queue=a', '--grace=5']);
    unlink($gate);
    $connection->push('Held', $gate, 'a');
    $before = $connection->peek('a')[0] ?? null;
    wait_until(fn () => count($book->lines()) === $held + 3, 'it holds the job');
    $master->signal(SIGTERM);
    $master->says('asked to stop:');
    // A second signal counts half a second after the first one: so that one Ctrl-C, which all processes of a terminal get, is one.
    $later = clock() + 0.6;
    wait_until(fn () => clock() > $later, 'the second signal counts');
    $master->signal(SIGTERM);
    same("$name: left with", 0, $master->wait());
    same("$name: the job is back", 1, $connection->stats('a')['ready']);
    same("$name: with no attempt burnt", 1, $connection->pop('a')->attempts());
}
done();
--EXPECT--
ok
