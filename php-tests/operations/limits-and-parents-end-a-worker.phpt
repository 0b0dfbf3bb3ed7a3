--TEST--
Memory outside PHP's allocator counts, cycles are collected between jobs, and a worker leaves when its parent is gone
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('posix', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

class Node
{
    public static int $gone = 0;
    public ?Node $other = null;

    public function __destruct()
    {
        self::$gone++;
    }
}
class Cyclic
{
    public function fire($job, $data)
    {
        [$a, $b] = [new Node(), new Node()];
        [$a->other, $b->other] = [$b, $a];
        $job->delete();
    }
}

$url = 'sqlite:' . temp_dir() . '/jobs.sqlite';
Queue::configure($url);
Queue::push('Cyclic');
$worker = new Ferry\Worker(['log' => 'none', 'max_time' => 10]);
$worker->on('looping', fn () => Node::$gone && $worker->stop());
gc_disable();
same('leaves with 0', 0, $worker->run());
same('the cycle is gone although nobody else collects', 2, Node::$gone);

// SQLite's own cache is memory that PHP does not count.
$hungry = <<<'PHP'
class Hungry
{
    public function fire($job, $data)
    {
        static $kept;
        $kept = new PDO('sqlite::memory:');
        $kept->exec('CREATE TABLE t (b BLOB)');
        for ($n = 0; $n < 64; $n++) {
            $kept->exec('INSERT INTO t VALUES (randomblob(1048576))');
        }
        $job->delete();
        echo memory_get_usage(true) < 48 << 20 ? "php uses little\n" : "php uses much\n";
    }
}
exit((new Ferry\Worker(['log' => 'none', 'memory' => 48]))->run());
PHP;
Queue::push('Hungry');
$child = Child::php($hungry, [], ['FERRY_URL' => $url]);
same('exit code', 12, $child->wait());
same('it was not PHP', "php uses little\n", $child->out());

// The parent starts a worker that works for it, and is killed.
$flags = var_export(explode(' ', getenv('FERRY_PHP_FLAGS')), true);
file_put_contents(temp_dir() . '/orphan.php', '<?php
    require ' . var_export(project('php-tests/support/boot.php'), true) . ';
    $worker = new Ferry\Worker(["log" => "none", "parent" => (int) $argv[1]]);
    $worker->on("ready", fn () => file_put_contents($argv[2], getmypid()));
    $worker->on("stopping", fn ($code) => file_put_contents("$argv[2].end", $code));
    exit($worker->run());');
$parent = Child::php('proc_open([getenv("FERRY_PHP"), ...' . $flags . ', ' . var_export(temp_dir() . '/orphan.php', true) . ', (string) getmypid(), ' . var_export(temp_dir() . '/pid', true) . '], [], $pipes); sleep(60);', [], ['FERRY_URL' => $url]);
wait_until(fn () => is_file(temp_dir() . '/pid') && filesize(temp_dir() . '/pid') > 0, 'the worker is ready');
$pid = (int) file_get_contents(temp_dir() . '/pid');
at_the_end(fn () => posix_kill($pid, SIGKILL));
same('it works', true, posix_kill($pid, 0));
$parent->signal(SIGKILL);
$parent->wait();
wait_until(fn () => is_file(temp_dir() . '/pid.end') && filesize(temp_dir() . '/pid.end') > 0, 'the orphan leaves by itself', 10);
same('with 0', '0', file_get_contents(temp_dir() . '/pid.end'));
done();
?>
--EXPECT--
ok
