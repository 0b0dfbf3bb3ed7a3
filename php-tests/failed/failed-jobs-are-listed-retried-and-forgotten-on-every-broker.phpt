--TEST--
Failed jobs are listed, shown, retried and forgotten: one, many, all, by class and by time, on every broker
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;
use Ferry\Worker;

class First
{
    public static array $attempts = [];
    public static bool $broken = true;

    public function fire($job, $data)
    {
        self::$attempts[] = $job->attempts();
        if (self::$broken) {
            throw new RuntimeException("boom $data[n]");
        }
        $job->delete();
    }
}

class Second extends First
{
}

class Mail
{
    public function handle()
    {
        throw new RuntimeException('no mail');
    }
}

function work(): void
{
    (new Worker(['stop_when_empty' => true, 'tries' => 1, 'log' => 'none']))->run();
}

/** Pushes four jobs of three classes and lets them fail. */
function fail_four(): void
{
    First::$broken = true;
    Queue::push('First', ['n' => 1, 'o' => new stdClass(), 'f' => 1.0]);
    Queue::push('Second', ['n' => 2]);
    Queue::push(new Mail());
    Queue::push('First', ['n' => 3]);
    work();
}

function ids(array $records): array
{
    return array_column($records, 'id');
}

function states(): string
{
    return implode('/', Queue::stats());
}

foreach (brokers() as $name => $config) {
    $connection = use_broker($config);
    same("$name: none yet", [[], null, 0, 0], [Queue::failed(), Queue::failedJob(1), Queue::retryFailed(), Queue::forgetFailed('all')]);

    fail_four();
    same("$name: states", '0/0/0/4', states());
    $failed = Queue::failed();
    same("$name: both ways to ask agree", $failed, $connection->failed());
    [$third, $mail, $second, $first] = ids($failed);
    same("$name: pages", [$mail, $second], ids(Queue::failed(limit: 2, offset: 1)));
    same("$name: shown by its id", $failed[1], Queue::failedJob($mail));
    same("$name: not in another queue", null, $connection->failedJob($mail, 'other'));
    same("$name: the record", ['default', 'exception', 1], [$failed[3]['queue'], $failed[3]['reason'], $failed[3]['attempts']]);
    holds("$name: the exception", 'RuntimeException: boom 1', $failed[3]['exception']);
    check("$name: the time", abs(time() - $failed[3]['failed_at']) < 60);

    // One, again, many; what is not there is not counted.
    same("$name: one", [1, 0], [Queue::retryFailed($first), Queue::retryFailed($first)]);
    same("$name: states", '1/0/0/3', states());
    same("$name: the payload is what was pushed", $failed[3]['payload'], $connection->peek()[0]);
    same("$name: many", 2, Queue::retryFailed([$second, $third, $first, 'nobody']));
    same("$name: states", '3/0/0/1', states());
    same("$name: none of another queue", 0, Queue::retryFailed('all', 'other'));
    same("$name: none of an empty list", [0, 0], [Queue::retryFailed([]), Queue::forgetFailed([])]);

    // Attempts begin anew, and the job can be worked.
    First::$broken = false;
    First::$attempts = [];
    work();
    same("$name: first attempts", [1, 1, 1], First::$attempts);
    same("$name: states", '0/0/0/1', states());

    // By class: of handlers and of object jobs, as PHP compares names.
    fail_four();
    same("$name: no such class", 0, Queue::retryFailed(['class' => 'Fir']));
    same("$name: by class", 2, Queue::retryFailed(['class' => '\\first']));
    same("$name: by class of an object job", 2, Queue::forgetFailed(['class' => 'Mail']));
    same("$name: states", '2/0/0/1', states());

    // By time.
    $now = time();
    same("$name: not before its second", 0, Queue::forgetFailed(['before' => $now - 3600]));
    same("$name: not after now", 0, Queue::retryFailed(['after' => new DateTimeImmutable('+1 hour')]));
    same("$name: both must hold", 0, Queue::retryFailed(['class' => 'Second', 'before' => $now - 3600]));
    same("$name: pruned", 1, Queue::forgetFailed(['class' => 'Second', 'after' => (string) ($now - 3600), 'before' => new DateTime('+1 hour')]));
    same("$name: states", '2/0/0/0', states());

    // All, with bytes that nobody can decode.
    $connection->clear();
    foreach (["\xff\x00 no json", '{"job":"First","data":{"n":1}}', '{"job":"First","data":{"n":1.0,"o":{}},"attempts":7}'] as $body) {
        Queue::pushRaw($body);
    }
    First::$broken = true;
    work();
    same("$name: all", 3, Queue::retryFailed());
    $counted = '{"job":"First","data":{"n":1.0,"o":{}},"attempts":0}';
    same("$name: their bytes", ["\xff\x00 no json", '{"job":"First","data":{"n":1}}', $counted], $connection->peek());
    work();
    same("$name: flushed", [3, '0/0/0/0'], [Queue::forgetFailed('all'), states()]);

    // By the id that push returned, a number on SQLite.
    [$one, $other] = [Queue::push('First', ['n' => 8]), Queue::push('First', ['n' => 9])];
    work();
    same("$name: by the id of its push", [0, 1, 1], [Queue::retryFailed(['job' => 'nobody']), Queue::forgetFailed(['job' => $one]), Queue::retryFailed(['job' => $other, 'class' => 'First'])]);
    same("$name: the other one is ready", '1/0/0/0', states());
    $connection->clear();
}

// What cannot be meant is refused, before anything is sent: a variable that was never set must not mean all.
Queue::configure('redis://127.0.0.1:1');
$wrong = [
    'null' => null,
    'true' => true,
    'a float' => 1.5,
    'an object' => new stdClass(),
    'a list with null' => [null],
    'no class' => ['class' => ''],
    'no class name' => ['class' => 5],
    'no time' => ['before' => 'yesterday'],
    'no time at all' => ['after' => null],
    'no job' => ['job' => null],
];
foreach ($wrong as $what => $which) {
    holds($what, 'Ferry\\InvalidArgumentException', thrown(fn () => Queue::retryFailed($which)));
    holds($what, 'Ferry\\InvalidArgumentException', thrown(fn () => Queue::forgetFailed($which)));
}
holds('a slip', 'not by `befor`; did you mean `before`?', thrown(fn () => Queue::retryFailed(['befor' => 1])));
holds('no id', 'Ferry\\InvalidArgumentException', thrown(fn () => Queue::failedJob(null)));
holds('sent', 'Ferry\\ConnectionException: retry failed jobs of `default` on', thrown(fn () => Queue::retryFailed()));

Queue::configure('sync:');
same('sync', [[], null, 0, 0], [Queue::failed(), Queue::failedJob('x'), Queue::retryFailed(), Queue::forgetFailed('all')]);
done();
?>
--EXPECT--
ok
