--TEST--
Names, ids, messages and payloads from outside reach no terminal as they are, in any command
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

/** What would clear the screen, forge a line, turn the direction around, be a C1 introducer, or start a tag. */
const EVIL = "\x1b[2J\r\nforged\u{9b}31m\u{202e}\x07\x7f<error>";

/** No control character but the ends of lines, nor those of C1 and of direction. */
function tame(string $what, Said $said): Said
{
    foreach (['out' => $said->out, 'err' => $said->err] as $where => $text) {
        // With --ansi the colours of the console itself are there.
        $own = preg_replace('/\x1b\[[0-9;]*m/', '', $text);
        check("$what: $where", preg_match('/[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]/', $own) === 0, bin2hex($own));
        check("$what: $where: no forged line", preg_match('/^forged/m', $own) === 0, $own);
    }
    return $said;
}

$server = RedisServer::start();
$redis = $server->client();
foreach ([false, true] as $colours) {
    $ferry = Ferry::on($server->config(['track' => '1']));
    $run = fn (array $words, string $answers = '') => tame(implode(' ', $words), $ferry->run([...$words, $colours ? '--ansi' : '--no-ansi'], $answers));
    $redis->flushAll();
    $connection = use_broker($server->config(['track' => true]));
    $payload = json_encode(['job' => 'Job' . EVIL, 'data' => EVIL, 'id' => 'id' . EVIL, 'attempts' => 0]);
    $connection->pushRaw($payload, 'mail');
    $connection->pushRaw('no json ' . EVIL . "\xff", 'mail');
    $connection->pushRaw($payload, 'mail');
    $run(['peek', '--queue=mail']);
    $run(['peek', '--queue=mail', '--json']);
    while ($job = $connection->pop('mail')) {
        $job->fail('because of ' . EVIL);
    }
    $failed = $run(['failed', '--queue=mail'])->well('failed');
    holds('shown instead', '\u{1B}[2J', $failed->out);
    holds('tags are shown as they are', '<error>', $failed->out);
    foreach ($run(['failed', '--queue=mail', '--json'])->well('failed as JSON')->json() as $record) {
        $run(['failed', 'show', $record['id'], '--queue=mail'])->well('failed show');
    }
    $run(['retry', '--ask', '--queue=mail'], "n\nn\nq\n");
    $run(['retry', '--class=Nobody', '--queue=mail'])->refused('an unknown class', 1, 'Job\u{1B}');
    $run(['retry', 'none' . EVIL, '--queue=mail'])->refused('an unknown id', 1, '\u{1B}');
    $run(['forget', 'none' . EVIL, '--queue=mail'])->refused('an unknown id', 1, '\u{1B}');
    $run(['failed', 'show', 'none' . EVIL, '--queue=mail'])->refused('an unknown id', 1, '\u{1B}');
    $run(['status', 'none' . EVIL])->refused('an unknown id', 1, '\u{1B}');
    $run(['status', 'id<error>'])->refused('a tag', 1, 'id<error>');

    // Records and reports that another program wrote into the broker.
    [$key] = preg_grep('/:ferry:failed$/', $redis->keys('*'));
    $record = json_decode($redis->lIndex($key, 0), true);
    $record['reason'] = 'reason' . EVIL;
    $redis->lSet($key, 0, json_encode($record));
    $run(['failed', '--queue=mail']);
    $run(['retry', '--ask', '--queue=mail'], "q\n");

    // The error of a server, and what somebody typed.
    $run(['-c', 'name' . EVIL, 'size'])->refused('an unknown connection', 2, '\u{1b}');
    $run(['size', '--wrong' . EVIL])->refused('an unknown option', 2, '\u{1B}');
    $run(['command' . EVIL])->refused('an unknown command', 2, 'forged');
    $run(['size', '--config=' . EVIL])->refused('an unknown file', 2, '\u{1B}');
    $run(['size', '--bootstrap=' . EVIL])->refused('an unknown bootstrap file', 2, '\u{1B}');
    $run(['work', '--tries=' . EVIL])->refused('a wrong number', 2, '\u{1B}');
    $run(['size', '--queue=<error>odd</error>'])->well('a tag as a queue');
    $run(['doctor', '--queue=<error>odd</error>']);
    holds('names are shown as they are', 'queue=<error>odd</error> ready', $run(['monitor', '--once', '--queue=<error>odd</error>'])->well('a tag in the monitor')->out);
    $run(['pause', '<error>odd</error>']);
    $run(['resume', '<error>odd</error>']);
}
done();
--EXPECT--
ok
