--TEST--
A job ten times as long as retry_after runs once beside three idle workers, asleep or busy
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

$worker = <<<'PHP'
class Long
{
    public function fire($job, $data)
    {
        echo "began $data\n";
        $end = clock() + 20;
        while (clock() < $end) {
            if ($data === 'asleep') {
                sleep(20);
            }
        }
        $job->delete();
        echo "done $data\n";
    }
}
exit((new Ferry\Worker(['log' => 'none', 'settle' => 'immediate']))->run());
PHP;

$server = RedisServer::start();
$urls = [$server->dsn('retry_after=2'), 'sqlite:' . temp_dir() . '/jobs.sqlite?retry_after=2'];
$children = [];
foreach ($urls as $index => $url) {
    Queue::configure($url);
    Queue::push('Long', $index === 0 ? 'asleep' : 'busy');
    for ($n = 0; $n < 4; $n++) {
        $children[$url][] = Child::php($worker, [], ['FERRY_URL' => $url]);
    }
}
foreach ($urls as $url) {
    Queue::configure($url);
    wait_until(fn () => Queue::size() === 0, 'the job is done', 45);
    foreach ($children[$url] as $child) {
        $child->signal(SIGTERM);
        same('exit code', 0, $child->wait());
        same('errors', '', $child->err());
    }
    $said = implode('', array_map(fn ($child) => $child->out(), $children[$url]));
    same("began once on $url", 1, substr_count($said, 'began'));
    same("done once on $url", 1, substr_count($said, 'done'));
}
done();
?>
--EXPECT--
ok
