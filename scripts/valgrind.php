<?php
// The main paths of the extension, once each, for scripts/valgrind: pushes, jobs that end in every way, failed jobs, object jobs,
// think-queue's names, mistakes; on memory, SQLite and Redis. What must come out of them is php-tests' business; here a path only
// has to be walked, so few results are checked.
//   php -d extension=... scripts/valgrind.php DIRECTORY REDIS_SOCKET

use Ferry\Connection;
use Ferry\Queue;
use Ferry\Worker;

error_reporting(E_ALL);

class Way
{
    public function fire($job, $data)
    {
        $job->payload('data.act');
        match (is_array($data) ? $data['act'] : $data) {
            'delete' => $job->delete(),
            'return' => null,
            'release' => $job->attempts() > 1 ? $job->delete() : $job->release(0),
            'later' => $job->release(600),
            'throw' => throw new RuntimeException('thrown on purpose', 7, new DomainException('its cause')),
            'error' => strlen(),
            'fail' => $job->fail(new LogicException('asked')),
            'settle twice' => [$job->delete(), $job->release(5), $job->isDeletedOrReleased()],
            'nested' => [Queue::push('Way', ['act' => 'delete']), $job->delete()],
            'hang' => sleep(20),
        };
    }

    public function failed($data, $e)
    {
        if ($data === 'error') {
            throw new DomainException('in failed()');
        }
    }
}

class Letter implements think\queue\ShouldQueue
{
    public $tries = 2;

    public function __construct(public string $to, public array $parts = [])
    {
    }

    public function handle()
    {
        if ($this->to === 'nobody') {
            throw new RuntimeException('no such address');
        }
    }

    public function failed()
    {
    }
}

class TypedForThink
{
    public function fire(think\queue\Job $job, $data)
    {
        $job->delete();
    }
}

class Unwritable implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        throw new RuntimeException('not as JSON');
    }
}

function must(string $what, bool $holds, mixed $seen = null): void
{
    if (!$holds) {
        fwrite(STDERR, "NOT: $what " . json_encode($seen) . "\n");
        exit(2);
    }
}

function refused(callable $call): string
{
    try {
        $call();
    } catch (Ferry\Exception $e) {
        return $e->getMessage() . strlen($e->getTraceAsString());
    }
    must('a mistake was refused', false);
}

/** A worker that leaves when nothing is ready, and gives every job up after two attempts. */
function worker(array $options = []): Worker
{
    return new Worker($options + ['stop_when_empty' => true, 'tries' => 2, 'log' => 'none', 'sleep' => 0]);
}

/** Every way to put jobs into a queue, and to look at them. */
function pushes(Connection $connection): void
{
    Queue::push('Way', ['act' => 'delete', 'o' => new stdClass(), 'f' => 1.0, 'u' => "队列\u{1F600}", 'n' => null]);
    Queue::push('Way@fire', 'return');
    Queue::push('Way');
    Queue::later(600, 'Way', 'delete');
    Queue::later(new DateInterval('PT0S'), 'Way', 'delete');
    Queue::later(new DateTimeImmutable('-1 hour'), 'Way', 'delete', 'other');
    Queue::bulk(array_fill(0, 50, 'Way'), ['act' => 'delete']);
    Queue::pushOn('other', 'Way', 'delete');
    Queue::laterOn('other', 1.5, 'Way', str_repeat('long ', 5000));
    Queue::pushRaw('{"job":"Way","data":"delete","id":"raw","attempts":0}');
    Queue::pushRaw("\xff\x00 poison");
    must('size', Queue::size() >= 50, Queue::size());
    $connection->stats();
    $connection->peek(null, 'ready', 5, 1);
    $connection->peek(null, 'delayed');
    must('cleared', $connection->clear() > 0 && $connection->clear('other') > 0);
}

/** A job in the caller's own hands. */
function pops(): void
{
    foreach (['delete', 'release', 'later', 'fail'] as $act) {
        Queue::push('Way', $act);
        $job = Queue::pop();
        [$job->getRawBody(), $job->getJobId(), $job->getName(), $job->getQueue(), $job->getConnection(), $job->payload()];
        [$job->maxTries(), $job->timeout(), $job->timeoutAt(), $job->attempts(), $job->isLost(), $job->hasFailed()];
        $job->fire();
        must('settled', $job->isDeletedOrReleased());
    }
    Queue::push('Way', 'delete');
    $left = Queue::pop(); // never settled: its object goes first
    unset($left);
    must('an empty queue', Queue::pop('nothing here') === null);
}

/** Jobs that end in every way but exit(), with a listener for every event. */
function works(): void
{
    foreach (['pipelined', 'immediate'] as $settle) {
        foreach (['delete', 'return', 'release', 'later', 'throw', 'error', 'fail', 'settle twice', 'nested'] as $act) {
            Queue::push('Way', $act);
        }
        Queue::pushRaw('{"job":"Gone","data":1,"attempts":0}');
        Queue::pushRaw('zzz');
        Queue::bulk(array_fill(0, 30, 'Way'), 'delete');
        $told = [];
        $worker = worker(['backoff' => [0, 600], 'settle' => $settle]);
        foreach (['looping', 'processing', 'processed', 'exception', 'failed', 'released', 'lost', 'settle_lost', 'stopping'] as $event) {
            $worker->on($event, function (...$arguments) use (&$told, $event) {
                $told[$event] = ($told[$event] ?? 0) + 1;
            });
        }
        must('the worker leaves with 0', $worker->run() === 0);
        must('events', $told['processed'] >= 30 && $told['failed'] >= 2, $told);
    }
    Queue::push('Way', 'delete');
    must('one job', worker()->process());
    Queue::push('Way', 'throw');
    worker(['once' => true, 'log' => 'plain', 'delay' => 600])->run(); // writes its lines
    worker(['once' => true, 'sleep' => 0.1])->run(); // waits
}

/** Seams: a factory, a map of handlers, a job class of the application's. */
function seams(): void
{
    Queue::push('short', 'delete');
    Queue::push('Way', 'delete');
    worker([
        'handlers' => ['short' => 'Way', 'Way'], 'strict' => true, 'on_return' => 'delete',
        'handler' => fn ($class, $data) => new $class(), 'job' => fn ($job) => $job,
    ])->run();
    $worker = worker();
    $worker->on('processing', fn () => throw new RuntimeException('in a listener'));
    Queue::push('Way', 'delete');
    try {
        $worker->run();
        must('a listener ends the run', false);
    } catch (RuntimeException) {
    }
}

/** One job that is stopped, and one that is warned before. */
function timeouts(): void
{
    foreach ([0, 1.8] as $warning) {
        Queue::push('Way', 'hang');
        $worker = worker(['tries' => 1, 'timeout' => 2, 'warn_before' => $warning]);
        $stopped = false;
        $worker->on('timeout', function () use (&$stopped) {
            $stopped = true;
        });
        $worker->run();
        must('the job was stopped', $stopped);
    }
}

function failed_jobs(): void
{
    must('jobs have failed', count($failed = Queue::failed()) > 2);
    Queue::failedJob($failed[0]['id']);
    must('one', Queue::retryFailed($failed[0]['id']) === 1);
    Queue::retryFailed(['class' => 'Way', 'after' => time() - 3600]);
    Queue::forgetFailed([$failed[1]['id'], 'nobody']);
    Queue::forgetFailed(['before' => new DateTime('+1 hour')]);
    must('none is left', Queue::failed() === []);
    Queue::connection()->clear();
}

function object_jobs(): void
{
    Queue::push(new Letter('somebody', [new ArrayObject([1, 2]), 'x' => 1.5]));
    Queue::push(new Letter('nobody'));
    Queue::later(0, new Letter('somebody'));
    Queue::pushRaw('{"job":"think\\\\queue\\\\CallQueuedHandler@call","data":{"commandName":"Gone","command":"O:4:\"Gone\":0:{}"},"attempts":0}');
    Queue::pushRaw('{"job":"think\\\\queue\\\\CallQueuedHandler@call","data":{"commandName":"x","command":5},"attempts":0}');
    worker()->run();
    Queue::push(new Letter('somebody'));
    worker(['allowed_classes' => ['Other']])->run();
}

function think_names(): void
{
    think\Queue::push('TypedForThink', 1);
    think\facade\Queue::later(0, 'TypedForThink', 2);
    must('no such name', !class_exists('think\queue\Nope'));
    worker()->run();
}

/** Mistakes of callers, refused before anything is sent. */
function mistakes(): void
{
    $deep = [];
    for ($level = 0; $level < 600; $level++) {
        $deep = [$deep];
    }
    foreach ([
        fn () => Queue::push('', 1), fn () => Queue::push(5), fn () => Queue::push('Way', $deep), fn () => Queue::push('Way', "\xff"),
        fn () => Queue::push('Way', 1, "a\nb"), fn () => Queue::later('soon', 'Way'), fn () => Queue::bulk(['Way', 5]),
        fn () => Queue::later(-1e300, 'Way'), fn () => new Worker(['quue' => 'x']), fn () => new Worker(['timeout' => 'x']),
        fn () => (new Worker())->on('procesed', fn () => 1), fn () => Queue::forgetFailed(null), fn () => Queue::connection('nope'),
    ] as $call) {
        refused($call);
    }
    try {
        Queue::push('Way', new Unwritable());
        must('the encoder throws', false);
    } catch (RuntimeException) {
    }
}

/** Configurations that cannot be used; none shows its password. */
function config_errors(): void
{
    foreach ([
        'redis://user:secret@host:99999', 'redis://:secret@h?nope=1', 'kafka://h', 'redis://:sec/ret@h', 5, [],
        ['default' => 'a', 'connections' => ['a' => ['type' => 'redis', 'hots' => 'h', 'password' => 'secret']]],
        ['default' => 'b', 'connections' => ['a' => ['type' => 'redis']]],
        ['connections' => ['a' => ['type' => 'topthink'], 'b' => 5]],
        ['connector' => 'Redis', 'expire' => 'x'],
    ] as $config) {
        $said = refused(fn () => Queue::configure($config) ?? Queue::connection());
        must('the password is not shown', !str_contains($said, 'secret'), $said);
    }
    refused(fn () => new Connection('redis://'. str_repeat('x', 300) . ' y'));
    // Nobody listens there.
    Queue::configure('redis://127.0.0.1:1?timeout=1');
    refused(fn () => Queue::push('Way'));
    refused(fn () => Queue::pop());
    Queue::configure('sqlite:/nonexistent/folder/jobs.sqlite');
    refused(fn () => Queue::push('Way'));
}

/** On `sync` a job runs inside push. */
function sync(): void
{
    Queue::configure('sync:');
    Queue::push('Way', 'delete');
    Queue::push(new Letter('somebody'));
    try {
        Queue::push('Way', 'throw');
        must('the caller gets it', false);
    } catch (RuntimeException) {
    }
}

/** Task messages that no constructor saw, and forged ones. */
function task_messages(): void
{
    if (!class_exists(Ferry\Task\TaskMessage::class)) {
        return;
    }
    $task = new Ferry\Task\TaskMessage('t', ['o' => new stdClass()]);
    must('a copy', unserialize(serialize($task)) == $task);
    foreach (['0:{}', '1:{s:6:"taskId";r:1;}', '2:{s:6:"taskId";s:1:"i";s:7:"payload";a:1:{i:0;r:1;}}'] as $fields) {
        $forged = unserialize('O:22:"Ferry\Task\TaskMessage":' . $fields);
        refused(fn () => $forged->toArray());
        serialize(clone $forged);
        unset($forged);
    }
    gc_collect_cycles();
}

[, $directory, $socket] = $argv;
$brokers = [
    'memory' => 'memory:',
    'sqlite' => ['type' => 'sqlite', 'path' => "$directory/jobs.sqlite"],
    'redis' => "redis+unix://$socket?read_timeout=60",
    'redis of v1' => ['type' => 'redis', 'host' => $socket, 'select' => 1, 'family' => 'think1', 'read_timeout' => 60],
];
foreach ($brokers as $name => $config) {
    Queue::configure(is_string($config) ? $config : ['default' => 'it', 'connections' => ['it' => $config]]);
    $connection = Queue::connection();
    foreach (['pushes', 'pops', 'works', 'seams', 'failed_jobs', 'object_jobs', 'think_names'] as $path) {
        $begun = microtime(true);
        $path($connection);
        $connection->clear(); // the next path must not meet jobs of this one
        printf("%s: %s %.1f s\n", $name, $path, microtime(true) - $begun);
    }
    if ($name === 'memory') {
        timeouts();
    }
    var_export((array) $connection, true);
    unset($connection);
    gc_collect_cycles();
}
mistakes();
sync();
task_messages();
config_errors();
echo "every path was walked\n";
