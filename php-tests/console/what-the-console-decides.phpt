--TEST--
What the console decides without a process, a clock or a broker: flags of php, options, respawning, lines, rates
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('mbstring', 'intl'); ?>
--EXTENSIONS--
mbstring
ctype
intl
--FILE--
<?php
require __DIR__ . '/console.php';
load_console();
require_once '/usr/share/php/Symfony/Component/Console/autoload.php';

use Ferry\Console\Launch;
use Ferry\Console\Monitor\Snapshot;
use Ferry\Console\Monitor\Trend;
use Ferry\Console\Monitor\View;
use Ferry\Console\Payload;
use Ferry\Console\Process\Child as Process;
use Ferry\Console\Process\LineBuffer;
use Ferry\Console\Process\Limits;
use Ferry\Console\Process\RespawnPolicy;
use Ferry\Console\Process\Slot;
use Ferry\Console\Start;
use Ferry\Console\Suggestion;
use Ferry\Console\Text;
use Ferry\Console\WorkerOptions;
use Symfony\Component\Console\Input\ArrayInput;
use Symfony\Component\Console\Input\InputDefinition;

// The flags of php stand before the script, in all their spellings.
foreach ([
    [[], []],
    [['bin/ferry', '-d', 'x=1'], []],
    [['-n', '-d', 'extension=ferry', '-dmemory_limit=1G', '-c', '/etc/php', 'bin/ferry', 'work', '-n'], ['-n', '-d', 'extension=ferry', '-dmemory_limit=1G', '-c', '/etc/php']],
    [['--define', 'a=b', '--no-php-ini', '--', 'bin/ferry'], ['--define', 'a=b', '--no-php-ini']],
    [['-q', '-f', 'bin/ferry'], ['-q']],
] as [$words, $flags]) {
    same('flags of ' . implode(' ', $words), $flags, Launch::flags($words));
}
$launch = new Launch(['php', '-n'], '/srv/current/bin/ferry', '/srv/current', []);
same('a child\'s command', ['php', '-n', '/srv/current/bin/ferry', 'work'], $launch->command(['work']));
same('a path from where it was started', '/srv/current/boot.php', $launch->path('boot.php'));
same('an absolute path', '/boot.php', $launch->path('/boot.php'));

foreach ([[['--bootstrap=a.php'], 'a.php'], [['work', '--bootstrap', 'b.php'], 'b.php'], [['work', '--', '--bootstrap=c.php'], null], [['--bootstrapper=d.php'], null], [['--bootstrap'], '']] as [$words, $value]) {
    same('--bootstrap in ' . implode(' ', $words), $value, Start::option($words, '--bootstrap'));
}

// Options of the worker.
$input = function (array $given): ArrayInput {
    return new ArrayInput($given, new InputDefinition(WorkerOptions::definition()));
};
same('nothing given', [[], []], [WorkerOptions::forWorker($input([])), WorkerOptions::words($input([]))]);
$given = $input(['--queue' => 'high,mail', '--max-jobs' => '0', '--once' => true, '--backoff' => '1,5', '--handlers' => ['mail=app\Mail', 'app\Other'], '--allowed-classes' => ['A', 'B'], '--health-file' => '/run/{slot}']);
same('for the worker', ['queue' => 'high,mail', 'backoff' => '1,5', 'once' => true, 'max_jobs' => '0', 'health_file' => '/run/1', 'handlers' => ['mail' => 'app\Mail', 0 => 'app\Other'], 'allowed_classes' => ['A', 'B']], WorkerOptions::forWorker($given));
same('for a child', ['--queue=high,mail', '--backoff=1,5', '--once', '--max-jobs=0', '--health-file=/run/3', '--handlers=mail=app\Mail', '--handlers=app\Other', '--allowed-classes=A', '--allowed-classes=B'], WorkerOptions::words($given, 3));
same('exponential', ['base' => 2, 'cap' => 600, 'jitter' => 0.5], WorkerOptions::forWorker($input(['--backoff' => 'base:2,cap:600,jitter:0.5']))['backoff']);
foreach (['base:x', 'bass:2', 'base:2,cap'] as $wrong) {
    holds("--backoff=$wrong", '--backoff needs', thrown(fn () => WorkerOptions::forWorker($input(['--backoff' => $wrong]))));
}
// An option reaches the worker when somebody typed it, and only then: its default may be another one than that of the console.
same('no delay was typed', [], WorkerOptions::forWorker($input([])));
same('a delay of 0 was typed', [['delay' => '0'], ['--delay=0']], [WorkerOptions::forWorker($input(['--delay' => '0'])), WorkerOptions::words($input(['--delay' => '0']))]);
foreach (WorkerOptions::definition() as $option) {
    same("{$option->getName()} has no default of the console", [], array_diff_key(['' => $option->getDefault()], $option->acceptValue() && !$option->isArray() ? ['' => $option->getDefault() === null] : ['' => true]));
}
foreach (['tries' => 'three', 'memory' => '128M', 'max-time' => '1h', 'timeout' => ''] as $name => $wrong) {
    holds("--$name=$wrong", "--$name needs a number without a unit, for example --$name=", thrown(fn () => WorkerOptions::forWorker($input(["--$name" => $wrong]))));
}
// Every option of the worker that a command line can say is there, in its own spelling.
$words = array_map(fn ($option) => strtr($option->getName(), '-', '_'), WorkerOptions::definition());
preg_match_all('/^     \* \| `(\w+)` \|/m', file_get_contents(project('stubs/Worker.php')), $found);
same('options that only PHP can say', ['connection', 'handler'], array_values(array_diff(array_intersect($found[1], [...$words, 'connection', 'handler']), $words)));
same('no option is missing', [], array_diff($found[1], $words, ['connection', 'handler', 'parent', 'ready', 'looping', 'timeout', 'stopping', 'paused', 'resumed', 'settle_lost', 'exception', 'released', 'processing']));

// Respawning: kind, code, lived, ready, deaths before => over, deaths after, delay.
foreach ([
    [RespawnPolicy::ENDLESS, 0, 0.2, true, 3, false, 0, 0.0],
    [RespawnPolicy::ENDLESS, 0, 0.2, false, 0, false, 1, 0.0],     // ended before it was ready: something is wrong
    [RespawnPolicy::ENDLESS, 12, 5.0, true, 2, false, 0, 0.0],
    [RespawnPolicy::ENDLESS, 12, 0.1, true, 2, false, 3, 2.0],     // the limit is below what PHP needs to start
    [RespawnPolicy::ENDLESS, 137, 0.1, true, 0, false, 1, 0.0],
    [RespawnPolicy::ENDLESS, 1, 0.1, false, 1, false, 2, 1.0],
    [RespawnPolicy::ENDLESS, 1, 0.1, false, 5, false, 6, 16.0],
    [RespawnPolicy::ENDLESS, 1, 0.1, false, 40, false, 41, 30.0],
    [RespawnPolicy::ENDLESS, 255, 31.0, true, 6, false, 1, 0.0],   // it had been well for long
    [RespawnPolicy::ENDLESS, 13, 0.5, true, 0, false, 1, 0.0],
    [RespawnPolicy::FRESH, 13, 0.5, true, 0, false, 0, 0.0],       // one process a job: that is no death
    [RespawnPolicy::FRESH, 14, 0.5, true, 4, false, 0, 0.0],
    [RespawnPolicy::FRESH, 1, 0.5, false, 1, false, 2, 1.0],
    [RespawnPolicy::ONE_RUN, 13, 0.5, true, 0, true, 1, 0.0],
    [RespawnPolicy::UNTIL_EMPTY, 0, 0.5, true, 0, true, 0, 0.0],
    [RespawnPolicy::UNTIL_EMPTY, 1, 0.5, false, 0, true, 1, 0.0],
    [RespawnPolicy::UNTIL_EMPTY, 13, 0.5, true, 0, false, 1, 0.0],
    [RespawnPolicy::UNTIL_EMPTY, 137, 0.5, true, 1, false, 2, 1.0],
] as [$kind, $code, $lived, $ready, $before, $over, $deaths, $delay]) {
    $policy = new RespawnPolicy($kind);
    $after = $policy->deaths($before, $code, $lived, $ready);
    same("$kind $code after $lived s", [$over, $deaths, $delay], [$policy->isOver($code), $after, $policy->delay($after)]);
}

// Work that is to end by itself ends when its process only fails; other work is tried again for ever.
foreach ([[RespawnPolicy::ENDLESS, 99, false], [RespawnPolicy::FRESH, 99, false], [RespawnPolicy::UNTIL_EMPTY, 4, false], [RespawnPolicy::UNTIL_EMPTY, 5, true], [RespawnPolicy::ONE_RUN, 5, true]] as [$kind, $deaths, $hopeless]) {
    same("$kind after $deaths failures", $hopeless, (new RespawnPolicy($kind))->isHopeless($deaths));
}

// Why a process could not be started, as proc_open() says it, and what helps.
foreach ([
    ['proc_open(): Unable to create pipe Too many open files', 'Unable to create pipe Too many open files (raise `ulimit -n`; systemd: LimitNOFILE)'],
    ['proc_open(): Fork failed - Resource temporarily unavailable', 'Fork failed - Resource temporarily unavailable (too many processes: raise `ulimit -u`; systemd: TasksMax)'],
    ['proc_open(): Fork failed - Cannot allocate memory', 'Fork failed - Cannot allocate memory (start fewer processes, or add memory)'],
    ['', 'proc_open() failed without a reason'],
] as [$warning, $reason]) {
    same($warning, $reason, Process::startFailure($warning));
}

// With HUP after HUP every worker has its turn: the one that has begun, then the oldest.
$slots = array_map(fn ($number) => new Slot($number), [1, 2, 3]);
$bare = (new ReflectionClass(Process::class));
foreach ([2, 0, 1] as $at => $generation) {
    $slots[$at]->child = $bare->newInstanceWithoutConstructor();
    (new ReflectionProperty(Process::class, 'generation'))->setValue($slots[$at]->child, $generation);
}
same('the oldest first', 2, Slot::toReplace($slots, 3)?->number);
same('none is old', null, Slot::toReplace($slots, 0));
same('not those of this generation', 2, Slot::toReplace($slots, 1)?->number);
$slots[2]->successor = $slots[2]->child;
same('what has begun is finished', 3, Slot::toReplace($slots, 3)?->number);

// When those who were told to leave are killed.
foreach ([[null, 1, null], [5.0, 1, 18.0], [5.0, 2, 13.0], [null, 2, 13.0], [null, 3, 0.0], [0.0, 1, 13.0]] as [$stop, $times, $seconds]) {
    same('killed after ' . json_encode([$stop, $times]), $seconds, (new Limits(60, $stop, 3))->untilKill($times));
}

// Lines stay whole.
$buffer = new LineBuffer();
same('pieces', ['', "ab\n", '', "cd\nef\n", "g\n", ''], [$buffer->add('a'), $buffer->add("b\n"), $buffer->add('c'), $buffer->add("d\nef\ng"), $buffer->rest(), $buffer->rest()]);
same('a line without an end is passed on', 1_048_577, strlen($buffer->add(str_repeat('x', 1_048_577))));

// Payloads and times.
same('a plain job', 'app\Mail@send', Payload::job('{"job":"app\\\\Mail@send","data":{"commandName":"Other"}}'));
same('an object job', 'app\Mail', Payload::job('{"job":"think\\\\queue\\\\CallQueuedHandler@call","data":{"commandName":"app\\\\Mail"}}'));
same('poison', '', Payload::job("\xff"));
same('no text', '', Payload::job('{"job":7}'));
check('of a class', Payload::isOf('{"job":"App\\\\Mail@send"}', '\app\mail'));
same('spans', ['0 s', '119 s', '2 min', '2 h', '2 d'], array_map([Text::class, 'span'], [0.4, 119.9, 120, 7200, 172_800]));
same('sizes', ['0 B', '1023 B', '1.5 KiB', '64 MiB', '2.0 TiB'], array_map([Text::class, 'bytes'], [0, 1023, 1536, 64 << 20, 2 << 40]));
same('nothing steers a terminal', '\u{1B}[0m\n\u{202E}x?', Text::clean("\x1b[0m\n\u{202E}x\xff"));

// What somebody may have meant.
same('near', ['tries', 'Flaky', 'max-jobs', null, null], [Suggestion::nearest('trys', ['queue', 'tries']), Suggestion::nearest('flakky', ['Mail', 'Flaky']), Suggestion::nearest('max_jobs', ['max-time', 'max-jobs']), Suggestion::nearest('x', ['queue']), Suggestion::nearest('x', [])]);
same('as a hint', [' (did you mean --tries?)', ''], [Suggestion::hint('trys', ['tries'], '--%s'), Suggestion::hint('trys', ['connection'])]);

// Rates come of two looks.
$queue = fn (int $ready, ?string $head) => ['ready' => $ready, 'delayed' => 1, 'reserved' => 0, 'failed' => 0, 'head' => $head, 'paused' => false];
$worker = fn (string $id, int $processed) => ['id' => $id, 'processed' => $processed, 'failed' => 0];
$trend = new Trend();
$first = $trend->add(new Snapshot(100.0, ['mail' => $queue(5, 'a')], [$worker('x', 10)]));
same('the first look has no rates', [null, null, 0.0], [$first['processed_per_second'], $first['queues'][0]['growth_per_second'], $first['queues'][0]['head_waits_at_least']]);
$second = $trend->add(new Snapshot(102.0, ['mail' => $queue(3, 'a')], [$worker('x', 20), $worker('new', 4)]));
same('the second has', [7.0, -1.0, 2.0], [$second['processed_per_second'], $second['queues'][0]['growth_per_second'], $second['queues'][0]['head_waits_at_least']]);
$third = $trend->add(new Snapshot(103.0, ['mail' => $queue(3, 'b')], [$worker('new', 1)]));
same('a new head, a worker that began anew', [0.0, 0.0], [$third['queues'][0]['head_waits_at_least'], $third['processed_per_second']]);
same('an empty queue has no head', null, $trend->add(new Snapshot(104.0, ['mail' => $queue(0, null)], []))['queues'][0]['head_waits_at_least']);

$bar = fn (int $ready, int $reserved, int $delayed, int $most) => strip_tags(View::bar(['ready' => $ready, 'reserved' => $reserved, 'delayed' => $delayed], $most));
same('no jobs, no bar', '', $bar(0, 0, 0, 1));
same('a full bar', str_repeat('█', 30), $bar(7, 0, 0, 7));
same('thirds', str_repeat('█', 10) . str_repeat('▓', 10) . str_repeat('░', 10), $bar(1, 1, 1, 3));
same('few among many still show', '█▓░', $bar(1, 1, 1, 1_000_000));
done();
--EXPECT--
ok
