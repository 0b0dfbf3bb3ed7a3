--TEST--
Failed jobs are listed, shown, retried, forgotten, flushed and pruned, on SQLite and Redis
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

class Fails
{
    public function fire($job, $data)
    {
        $job->fail(new RuntimeException("no route for $data"));
    }
}
class AlsoFails extends Fails
{
}

/** Buries jobs: data => class. */
function bury(Ferry\Connection $connection, array $jobs, string $queue = 'mail'): void
{
    foreach ($jobs as $data => $class) {
        $connection->push($class, $data, $queue);
    }
    while ($job = $connection->pop($queue)) {
        $job->fire();
    }
}

foreach (shared_brokers() as $name => $config) {
    $ferry = Ferry::on($config);
    $connection = use_broker($config);

    same("$name: nothing there", "No failed jobs.\n", $ferry->run(['failed', '--queue=mail'])->well('list of none')->out);
    same("$name: nothing there, as JSON", [], $ferry->run(['failed', '--queue=mail', '--json'])->json());

    bury($connection, ['one' => 'Fails', 'two' => 'AlsoFails@fire', 'three' => 'Fails']);
    $list = $ferry->run(['failed', '--queue=mail'])->well("$name: list")->out;
    foreach (['AlsoFails@fire', 'asked', 'no route for two', 'mail'] as $piece) {
        holds("$name: list", $piece, $list);
    }
    $all = $ferry->run(['failed', '--queue=mail', '--json'])->well("$name: list as JSON")->json();
    same("$name: newest first", ['three', 'two', 'one'], array_map(fn ($job) => json_decode($job['payload'], true)['data'], $all));
    same("$name: keys", ['id', 'connection', 'queue', 'reason', 'exception', 'attempts', 'failed_at', 'job', 'payload'], array_values(array_intersect(['id', 'connection', 'queue', 'reason', 'exception', 'attempts', 'failed_at', 'job', 'payload'], array_keys($all[0]))));
    same("$name: limit and offset", [$all[1]], $ferry->run(['failed', '--queue=mail', '--json', '--limit=1', '--offset=1'])->json());
    same("$name: another queue has none", [], $ferry->run(['failed', '--json'])->json());

    $shown = $ferry->run(['failed', 'show', $all[0]['id'], '--queue=mail'])->well("$name: show")->out;
    holds("$name: payload", '"data":"three"', $shown);
    holds("$name: trace", "RuntimeException: no route for three in", $shown);
    same("$name: show as JSON", $all[0], $ferry->run(['failed', 'show', $all[0]['id'], '--queue=mail', '--json'])->json());
    $ferry->run(['failed', 'show', 'nobody', '--queue=mail'])->refused("$name: show a stranger", 1, 'no failed job nobody');
    $ferry->run(['failed', 'shew', '1'])->refused("$name: no such word", 2, '`failed show ID`');

    // Retry: by id, by condition, by question.
    $ferry->run(['retry', '--queue=mail'])->refused("$name: retry nothing", 2, 'which jobs?');
    $ferry->run(['retry', 'all', '--class=Fails', '--queue=mail'])->refused("$name: retry twice over", 2, 'name ids, or conditions');
    $ferry->run(['retry', 'all', '--before=yesteryore', '--queue=mail'])->refused("$name: no date", 2, '--before needs a date');
    $ferry->run(['retry', 'nobody', $all[2]['id'], '--queue=mail'])->refused("$name: one of two ids", 1, '1 job ready again; not among the failed jobs of this queue: nobody');
    same("$name: one ready", 1, $connection->size('mail'));
    same("$name: retry by class", "1 job ready again.\n", $ferry->run(['retry', '--class=\\alsofails', '--queue=other,mail'])->well("$name: retry by class")->out);
    same("$name: after now there is none", "0 jobs ready again.\n", $ferry->run(['retry', '--after=+1 hour', '--queue=mail'])->out);
    same("$name: retry the rest", "1 job ready again.\n", $ferry->run(['retry', 'all', '--queue=mail'])->out);
    same("$name: all ready", ['ready' => 3, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], $connection->stats('mail'));

    bury($connection, []);
    $asked = $ferry->run(['retry', '--ask', '--queue=mail'], "n\ny\nq\n");
    holds("$name: asks with the job's name", 'Fails  asked  RuntimeException: no route for', $asked->err);
    same("$name: one was wanted", [0, "1 job ready again.\n"], [$asked->code, $asked->out]);
    same("$name: the others stay", 2, $connection->stats('mail')['failed']);
    $ferry->run(['retry', '--ask', '--queue=mail'])->refused("$name: nobody answers", 1, 'no answer');
    $ferry->run(['retry', '--ask', '--queue=mail', '-n'])->refused("$name: nobody may be asked", 1, 'nobody can be asked here');
    bury($connection, []);
    $only = $ferry->run(['retry', '--ask', '--class=alsofails', '--queue=mail'], "n\n");
    same("$name: conditions narrow the questions", 1, substr_count($only->err, 'retry?'));

    // Forget, prune, flush.
    [$first, $second] = array_column($ferry->run(['failed', '--queue=mail', '--json'])->json(), 'id');
    same("$name: forget", "Forgotten: $first\n", $ferry->run(['forget', $first, '--queue=mail'])->well("$name: forget")->out);
    $ferry->run(['forget', $first, '--queue=mail'])->refused("$name: forget twice", 1, $first);
    $ferry->run(['forget', '--queue=mail'])->refused("$name: forget nothing", 2, 'name the jobs by ids');
    $ferry->run(['forget', $second, '--class=Fails', '--queue=mail'])->refused("$name: forget twice over", 2, 'name the jobs by ids');
    holds("$name: nothing is that old", '0 failed jobs', $ferry->run(['prune', '--queue=mail'])->well("$name: prune")->out);
    $ferry->run(['prune', '--hours=-1', '--queue=mail'])->refused("$name: no age", 2, '--hours needs a number');
    same("$name: still there", 2, $connection->stats('mail')['failed']);
    $ferry->run(['flush', '--queue=mail', '-n'])->refused("$name: flush without an answer", 1, 'use --force');
    $ferry->run(['flush', '--queue=mail'], "no\n")->refused("$name: flush, no", 1, 'nothing was done');
    same("$name: still there", 2, $connection->stats('mail')['failed']);
    holds("$name: flush, yes", '2 failed jobs removed', $ferry->run(['flush', '--queue=mail'], "y\n")->out);
    // By class and time: listed, forgotten; a class that nobody has is a mistake.
    bury($connection, ['a' => 'Fails', 'b' => 'AlsoFails', 'c' => 'Fails']);
    $classes = fn (Said $said) => array_column($said->json(), 'job');
    same("$name: listed by class", ['Fails', 'Fails'], $classes($ferry->run(['failed', '--queue=mail', '--class=\\fails', '--json'])->well("$name: listed by class")));
    same("$name: the second of them", 1, count($classes($ferry->run(['failed', '--queue=mail', '--class=Fails', '--limit=5', '--offset=1', '--json']))));
    same("$name: listed by time", [], $classes($ferry->run(['failed', '--queue=mail', '--after=+1hour', '--json'])));
    foreach (['failed', 'retry', 'forget'] as $command) {
        $said = $ferry->run([$command, '--class=Flails', '--queue=mail'])->refused("$name: $command of an unknown class", 1, 'no failed job of the class Flails (did you mean Fails?)');
        holds("$name: $command: which there are", 'AlsoFails', $said->err);
    }
    same("$name: a known class, at no time", "0 jobs ready again.\n", $ferry->run(['retry', '--class=Fails', '--after=+1 hour', '--queue=mail'])->well("$name: at no time")->out);
    same("$name: forget by class", "2 failed jobs removed.\n", $ferry->run(['forget', '--class=Fails', '--before=+1hour', '--queue=mail'])->well("$name: forget by class")->out);
    same("$name: the other stays", ['AlsoFails'], $classes($ferry->run(['failed', '--queue=mail', '--json'])));
    same("$name: forget by time", "1 failed job removed.\n", $ferry->run(['forget', '--before=+1hour', '--queue=mail'])->well("$name: forget by time")->out);
    $ferry->run(['flush', '--queue=mail'])->well("$name: nothing to flush, nothing to ask");

    bury($connection, ['four' => 'Fails']);
    wait_until(fn () => time() > $connection->failed('mail')[0]['failed_at'], 'a second has passed');
    holds("$name: prune what is older than nothing", '1 failed job ', $ferry->run(['prune', '--hours=0', '--queue=mail'])->well("$name: prune all")->out);
    same("$name: gone", 0, $connection->stats('mail')['failed']);

    // A terminal of 80 columns, which `script` lends: no line is longer, and the id is whole.
    bury($connection, ['five' => 'Fails']);
    [$one] = $connection->failed('mail');
    // The ids of SQLite are short enough for a table in 80 columns; those of Redis have 32 letters.
    foreach ([80 => $name === 'sqlite', 200 => true] as $columns => $isTable) {
        $command = implode(' ', array_map('escapeshellarg', $ferry->command(['failed', '--queue=mail', '--no-ansi'])));
        $screen = Child::start(['script', '-qefc', $command, '/dev/null'], temp_dir() . "/screen-$columns", ['FERRY_URL' => Ferry::url($config), 'TERM' => 'xterm', 'COLUMNS' => "$columns"]);
        $screen->wait();
        $shown = array_map('rtrim', explode("\n", rtrim(str_replace("\r", '', $screen->out()), "\n")));
        check("$name: $columns columns are enough", max(array_map('mb_strlen', $shown)) <= $columns, $shown);
        check("$name: the id is whole", preg_grep('/^' . preg_quote($one['id']) . ' /', $shown) !== [], $shown);
        check("$name: a table, or two lines for each", str_starts_with($shown[0], 'Id ') === $isTable, $shown);
    }
    $ferry->run(['flush', '--queue=mail', '--force'])->well("$name: flush again");

    // By the id that push returned. In a table it is no row number, so both are shown; elsewhere there is only the one.
    $connection->laterOn('mail', 600, 'Fails', 'moves the row numbers');
    $pushed = [(string) $connection->push('Fails', 'six', 'mail'), (string) $connection->push('Fails', 'seven', 'mail')];
    bury($connection, []);
    [$newest, $oldest] = $connection->failed('mail');
    same("$name: what push returned", $pushed, [$oldest['job_id'], $newest['job_id']]);
    $list = $ferry->run(['failed', '--queue=mail'])->well("$name: both ids")->out;
    same("$name: both ids where they differ", $name === 'sqlite', str_contains($list, 'Job id'));
    check("$name: in one line", $name !== 'sqlite' || preg_match("/^$oldest[id] +$oldest[job_id] /m", $list) === 1, $list);
    $shown = $ferry->run(['failed', 'show', $oldest['id'], '--queue=mail'])->well("$name: show both ids")->out;
    same("$name: both when one is shown", $name === 'sqlite', preg_match("/^Job id +$oldest[job_id]$/m", $shown) === 1);
    same("$name: listed by --job", [$oldest['id']], array_column($ferry->run(['failed', "--job=$pushed[0]", '--queue=mail', '--json'])->json(), 'id'));
    foreach (['failed', 'retry', 'forget'] as $command) {
        $ferry->run([$command, '--job=nobody', '--queue=mail'])->refused("$name: $command of a stranger", 1, 'no failed job was pushed as nobody');
    }
    same("$name: none of another connection", "0 jobs ready again.\n", $ferry->run(['retry', '--class=Fails', '--recorded-connection=other', '--queue=mail'])->well("$name: another connection")->out);
    same("$name: forget by --job", "1 failed job removed.\n", $ferry->run(['forget', "--job=$pushed[1]", "--recorded-connection=$newest[connection]", '--queue=mail'])->well("$name: forget by --job")->out);
    same("$name: retry by --job", "1 job ready again.\n", $ferry->run(['retry', "--job=$pushed[0]", '--queue=mail'])->well("$name: retry by --job")->out);
    same("$name: none is left", [], $connection->failed('mail'));
    $connection->clear('mail');

    // Bytes that are no text steer no terminal and break no JSON.
    $connection->pushRaw("\xff\x1b[2J<error>{\"job\"", 'mail');
    $worker = new Ferry\Worker(['connection' => $connection, 'queue' => 'mail', 'stop_when_empty' => true, 'log' => 'none']);
    $worker->run();
    $poison = $ferry->run(['failed', '--queue=mail', '--json'])->well("$name: poison as JSON")->json()[0];
    same("$name: poison's bytes", "\xff\x1b[2J<error>{\"job\"", base64_decode($poison['payload_base64']));
    $shown = $ferry->run(['failed', 'show', $poison['id'], '--queue=mail', '--ansi'])->well("$name: poison shown")->out;
    check("$name: no escape sequence of the payload", !str_contains($shown, "\x1b[2J"), bin2hex($shown));
    holds("$name: shown instead", '\u{1B}[2J<error>{"job"', $shown);
}
done();
--EXPECT--
ok
