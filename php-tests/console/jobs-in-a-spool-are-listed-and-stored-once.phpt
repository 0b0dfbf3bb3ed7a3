--TEST--
ferry.spool and `ferry spool`: what no broker takes at the end of a request is kept in a private file, warned of, listed, stored once, and left there when it cannot be stored
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$server = RedisServer::start();
$redis = $server->client();
$spool = temp_dir() . '/spool.jsonl';
$config = temp_dir() . '/queue.php';
file_put_contents($config, '<?php return ' . var_export(['connections' => ['main' => $server->config(['push_buffer' => 100])], 'default' => 'main'], true) . ';');
$ferry = new Ferry();
$run = fn (string ...$words) => $ferry->run(['spool', ...$words, "--config=$config"]);

/** A request that buffers jobs and cannot store them. */
function request(string $code, string $spool = '', array $flags = [], array $settings = []): Child
{
    $before = 'Ferry\Queue::configure(require ' . var_export($GLOBALS['config'], true) . ');';
    $child = Child::php($before . $code, [...($spool === '' ? [] : ['-d', "ferry.spool=$spool"]), ...$flags]);
    $child->wait();
    return $child;
}

$run($spool)->refused('no file yet', 1, 'there is no file');

$server->stop();
$due = time() + 600;
$child = request('Ferry\Queue::push("Job1", "first", "mail"); Ferry\Queue::push("Job1", "second", "mail"); Ferry\Queue::later(new DateTimeImmutable("@' . $due . '"), "Job1", "delayed", "late"); exit(7);', $spool);
same('the exit code is that of the script', 7, $child->wait());
holds('a warning', 'Warning: ', $child->err());
holds('with the count', '3 of 3 buffered jobs of `main` were not stored', $child->err());
holds('and what to do', "3 jobs are in $spool; run `ferry spool $spool` to store what is there", $child->err());
same('the file is private', 0600, fileperms($spool) & 0777);
$lines = array_map(fn ($line) => json_decode($line, true), file($spool));
same('connection, queue and due second', [['main', 'mail', null], ['main', 'mail', null], ['main', 'late', $due]], array_map(fn ($line) => [$line['connection'], $line['queue'], $line['due']], $lines));
same('the payload as it is', ['first', 'second', 'delayed'], array_map(fn ($line) => json_decode($line['payload'], true)['data'], $lines));

// Past a handler of the application, which PHP could not run there; to the log when settings show no warnings.
$child = request('set_error_handler(function () { echo "the handler was called"; throw new ErrorException(); }); Ferry\Queue::push("Job1", 1, "mail");', $spool);
same('no handler is called', ['', 0], [$child->out(), $child->wait()]);
holds('but the warning is shown', 'Warning: ', $child->err());
$log = temp_dir() . '/php.log';
request('error_reporting(0); Ferry\Queue::push("Job1", 1, "mail");', $spool, ['-d', "error_log=$log", '-d', 'display_errors=0']);
holds('or logged', '1 of 1 buffered jobs of `main`', file_get_contents($log));

// Without a usable spool the jobs are lost, and the warning says so.
holds('no spool', '1 job is lost; set ferry.spool', request('Ferry\Queue::push("Job1", 1);')->err());
holds('a spool that cannot be written', '1 job is lost, because ferry.spool (/nowhere/spool) cannot be written', request('Ferry\Queue::push("Job1", 1);', '/nowhere/spool')->err());
file_put_contents("$spool.open", '');
chmod("$spool.open", 0644);
holds('a spool that others may read', 'its mode must be 0600', request('Ferry\Queue::push("Job1", 1);', "$spool.open")->err());
same('gets nothing', '', file_get_contents("$spool.open"));

// Listed, also without a server.
$counts = [['connection' => 'main', 'queue' => 'mail', 'ready' => 4, 'delayed' => 0], ['connection' => 'main', 'queue' => 'late', 'ready' => 0, 'delayed' => 1]];
same('--list as JSON', ['jobs' => $counts, 'unreadable_lines' => 0], $run($spool, '--list', '--json')->well('--list')->json());
$table = $run($spool, '--list')->well('--list')->out;
check('--list', preg_match('/^ *main +mail +4 +0 *$/m', $table) === 1, $table);
$before = file_get_contents($spool);
$run($spool)->refused('no server', 1, '5 lines are left in the file; line 1: push to `mail` on `main`');
same('all lines are kept', $before, file_get_contents($spool));

// Stored once, with id and due second, beside lines that cannot be.
$again = RedisServer::startOn($server->port);
$redis = $again->client();
$redis->set('{queues:wrong}', 'text');
$bytes = ['v' => 1, 'connection' => 'main', 'queue' => 'bytes', 'due' => null, 'payload_base64' => base64_encode("\xff\n")];
$strange = [
    ['connection' => 'gone', 'payload' => '{}'] + $bytes,
    ['queue' => 'wrong', 'payload' => '{}'] + $bytes,
    ['v' => 2] + $bytes,
    ['payload_base64' => '*'] + $bytes,
];
$plain = fn (array $record) => json_encode(isset($record['payload']) ? array_diff_key($record, ['payload_base64' => 0]) : $record) . "\n";
file_put_contents($spool, $plain($bytes) . implode('', array_map($plain, $strange)) . "{\"v\":1,\n", FILE_APPEND);
$said = $run($spool)->refused('some are left', 1, '5 lines are left in the file; line 7: the connection `gone` is not configured');
same('what was stored', "4 jobs stored in `mail` on `main`.\n1 job stored in `late` on `main`.\n1 job stored in `bytes` on `main`.\n", $said->out);
same('in order', ['first', 'second', 1, 1], array_map(fn ($payload) => json_decode($payload, true)['data'], $redis->lRange('{queues:mail}', 0, -1)));
same('the same bytes', [$lines[0]['payload'], "\xff\n"], [$redis->lIndex('{queues:mail}', 0), $redis->lIndex('{queues:bytes}', 0)]);
same('due when it was', [$lines[2]['payload'] => (float) $due], $redis->zRange('{queues:late}:delayed', 0, -1, true));
same('--list shows what is left', ['gone', 'wrong'], array_map(fn ($one) => $one['connection'] === 'gone' ? 'gone' : $one['queue'], $run($spool, '--list', '--json')->json()['jobs']));
same('and what cannot be read', 3, $run($spool, '--list', '--json')->json()['unreadable_lines']);
$run($spool)->refused('again', 1, '5 lines are left');
same('nothing is stored twice', [4, 1, 1], [$redis->lLen('{queues:mail}'), $redis->zCard('{queues:late}:delayed'), $redis->lLen('{queues:bytes}')]);
$redis->del('{queues:wrong}');
$run($spool, '--connection=main')->refused('on another connection', 1, '3 lines are left');
same('stored there', [1, 2], [$redis->lLen('{queues:wrong}'), $redis->lLen('{queues:bytes}')]);

// Two at once: the second says so. A request may append meanwhile.
$spool = temp_dir() . '/second.jsonl';
file_put_contents($spool, $plain($bytes));
$lock = fopen("$spool.lock", 'c');
flock($lock, LOCK_EX);
$run($spool)->refused('another replay', 1, 'another `ferry spool` is at work');
flock($lock, LOCK_UN);
same('stored', "1 job stored in `bytes` on `main`.\n", $run($spool)->well('stored')->out);
same('the file is empty then', ['', 0600], [file_get_contents($spool), fileperms("$spool.lock") & 0777 & ~0066]);
same('an empty file', "No jobs.\n", $run($spool)->well('empty')->out);
$ferry->run(['spool'])->refused('no file named', 2, 'file');
done();
?>
--EXPECT--
ok
