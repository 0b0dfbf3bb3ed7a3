--TEST--
RabbitMQ: monitor, size and doctor show what the server tells, and say what it does not
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('rabbitmq', 'posix', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';
require_once __DIR__ . '/../support/rabbit.php';

$node = RabbitNode::start();
$config = $node->config();
$connection = use_broker($config);
$ferry = Ferry::on($config);
$book = new Book();
$connection->push('Note', 'one', 'mail');
$connection->push('Note', 'two', 'mail');
$connection->later(600, 'Note', 'later', 'mail');

// What RabbitMQ does not count is no 0.
$counts = ['queue' => 'mail', 'ready' => 2, 'delayed' => null, 'reserved' => null, 'failed' => 0, 'size' => 2];
same('size as JSON', [$counts], $ferry->run(['size', '--queue=mail', '--json'])->well('size')->json());
$table = $ferry->run(['size', '--queue=mail'])->well('size as a table')->out;
check('size as a table, with a note', preg_match("/^mail +2 +- +- +0 +2 *\n-: RabbitMQ does not report this number\\.$/m", $table) === 1, $table);
same('the default queue', 'default', $ferry->run(['size', '--json'])->json()[0]['queue']);

$report = json_decode($ferry->run(['monitor', '--once', '--json', '--queue=mail'])->well('monitor')->out, true);
same('monitor as JSON', [2, null, null, null], [$report['queues'][0]['ready'], $report['queues'][0]['delayed'], $report['queues'][0]['reserved'], $report['queues'][0]['head_waits_at_least']]);
same('nobody reports', [null, null], [$report['workers'], $report['processed_per_second']]);
$lines = $ferry->run(['monitor', '--once', '--queue=mail'])->well('monitor as lines')->out;
check('monitor as lines', preg_match('/queue=mail ready=2 delayed=- reserved=- failed=0 growth\/s=- oldest>=-$/m', $lines) === 1 && str_contains($lines, 'workers=- done/s=- failed/s=-'), $lines);
holds('without a queue', 'queue=default ready=0', $ferry->run(['monitor', '--once'])->well('monitor of the default queue')->out);
$command = implode(' ', array_map('escapeshellarg', $ferry->command(['monitor', '--interval=0.1', '--queue=mail'])));
$screen = Child::start(['script', '-qefc', $command, '/dev/null'], temp_dir() . '/screen', ['FERRY_URL' => Ferry::url($config), 'TERM' => 'xterm', 'COLUMNS' => '80', 'LINES' => '24']);
wait_until(fn () => substr_count($screen->out(), 'RabbitMQ does not report') >= 2, "it draws again; so far:\n{$screen->out()}");
holds('why there are no workers', 'Set `control`', $screen->out());
posix_kill($screen->pid, SIGTERM);
$screen->wait();

// With `control` the workers are known.
$keeper = ['type' => 'sqlite', 'path' => temp_dir() . '/keeper.sqlite'];
file_put_contents(temp_dir() . '/queue.php', '<?php return ' . var_export(['default' => 'bus', 'connections' => ['bus' => $config + ['control' => 'keeper'], 'keeper' => $keeper]], true) . ';');
$worker = $ferry->start(['work', '--config=' . temp_dir() . '/queue.php', '--bootstrap=' . $book->bootstrap(), '--queue=mail']);
$book->waitFor('two by');
$workers = [];
wait_until(function () use ($ferry, &$workers) {
    $report = json_decode($ferry->run(['monitor', '--once', '--json', '--config=queue.php'])->well('monitor with control')->out, true);
    return ($workers = $report['workers']) !== [];
}, 'the worker reports');
same('the worker', [$worker->pid, ['mail']], [$workers[0]['pid'], $workers[0]['queues']]);
$ferry->run(['pause', 'mail', '--config=queue.php'])->well('pause');
$worker->signal(SIGTERM);
$worker->wait();

// An alarm is told to those who publish. The doctor does not publish, so it knows of none, and does not say that there is none.
foreach (['0.8', '1'] as $watermark) {
    $watermark === '1' && $node->ctl('set_vm_memory_high_watermark', 'absolute', '1');
    $doctor = $ferry->run(['doctor', '--json', '--queue=mail']);
    $found = array_column($doctor->json()['findings'], null, 'topic');
    same("watermark $watermark", 'note', $found['Alarm']['level']);
    holds("watermark $watermark: what is known", 'unknown: RabbitMQ reports alarms only to connections that publish', $found['Alarm']['means']);
    holds("watermark $watermark: what to do", 'rabbitmq-diagnostics alarms', $found['Alarm']['change']);
}
$node->ctl('set_vm_memory_high_watermark', '0.8');
check('counts that the server tells', preg_match('/^\d+ ready, \d+ failed/', $found['Queue mail']['means']) === 1, $found['Queue mail']);
holds('what gives workers a place', '`control`', $found['Workers']['change']);
done();
--EXPECT--
ok
