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

use Ferry\Console\Column;
use Ferry\Console\Grid;
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
use Ferry\Console\QueueCounts;
use Ferry\Console\Start;
use Ferry\Console\Suggestion;
use Ferry\Console\Text;
use Ferry\Console\WorkerOptions;
use Symfony\Component\Console\Input\ArrayInput;
use Symfony\Component\Console\Input\InputDefinition;
use Symfony\Component\Console\Output\BufferedOutput;

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
preg_match_all('/^     \* \| `(\w+)` \|/m', file_get_contents(project('php/stubs/Worker.php')), $found);
same('options that only PHP can say', ['connection', 'handler', 'container'], array_values(array_diff(array_intersect($found[1], [...$words, 'connection', 'handler', 'container']), $words)));
same('no option is missing', [], array_diff($found[1], $words, ['connection', 'handler', 'container', 'parent', 'ready', 'looping', 'timeout', 'stopping', 'paused', 'resumed', 'settle_lost', 'exception', 'released', 'processing']));

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
same('a plain task', 'app\Mail', Payload::job('{"id":"t","class":"app\\\\Mail","data":[],"attempts":1}'));
same('poison', '', Payload::job("\xff"));
same('no text', '', Payload::job('{"job":7}'));
same('its class', ['app\Mail', 'app\Mail'], [Payload::className('{"job":"\\\\app\\\\Mail@send"}'), Payload::className('{"job":"app\\\\Mail"}')]);
check('of a class', Payload::isOf('{"job":"App\\\\Mail@send"}', '\app\mail'));
same('spans', ['0 s', '119 s', '2 min', '2 h', '2 d'], array_map([Text::class, 'span'], [0.4, 119.9, 120, 7200, 172_800]));
same('sizes', ['0 B', '1023 B', '1.5 KiB', '64 MiB', '2.0 TiB'], array_map([Text::class, 'bytes'], [0, 1023, 1536, 64 << 20, 2 << 40]));
same('nothing steers a terminal', '\u{1B}[0m\n\u{202E}x?', Text::clean("\x1b[0m\n\u{202E}x\xff"));

same('nothing is left of C1 and line separators', '\u{9B}31m \u{85} \u{2028} \u{7F} \u{200E}', Text::clean("\u{9b}31m \u{85} \u{2028} \x7f \u{200e}"));
same('text of many languages stays', 'Größe 任务 ✓', Text::clean('Größe 任务 ✓'));
same('what is kept', "a\n\\tb", Text::clean("a\n\tb", keep: "\n"));
same('no tag of symfony/console', '\<error>x\</error>', strtr(Text::cell('<error>x</error>'), ['\>' => '>']));
same('JSON on a terminal', '"\u009b31m\u007f\u202e\u001b 任务"', Text::json("\u{9b}31m\x7f\u{202e}\x1b 任务"));
same('JSON of what is no UTF-8', "\u{FFFD}", json_decode(Text::json("\xff")));
same('no line of a block passes for one of the console', ['    one', '    ferry: two', '    \u{1B}three'], explode("\n", Text::block("one\r\nferry: two\n\x1bthree\n")));
same('cut', ['app\job\S…', '…\SendMail', 'short', '…'], [Text::cut('app\job\SendMail', 10), Text::cut('app\job\SendMail', 10, keepEnd: true), Text::cut('short', 10), Text::cut('abc', 1, keepEnd: true)]);
$long = str_repeat('x', 8 << 20);
same('a long text in a short time', ['xxxx…', '…xxxx'], [Text::cut($long, 5), Text::cut($long, 5, keepEnd: true)]);
same('wide characters', ['任务…', 7], [Text::cut('任务任务', 6), mb_strwidth(Text::cut('x任务任务', 7, keepEnd: true))]);

// What somebody may have meant.
same('near', ['tries', 'Flaky', 'max-jobs', null, null], [Suggestion::nearest('trys', ['queue', 'tries']), Suggestion::nearest('flakky', ['Mail', 'Flaky']), Suggestion::nearest('max_jobs', ['max-time', 'max-jobs']), Suggestion::nearest('x', ['queue']), Suggestion::nearest('x', [])]);
same('as a hint', [' (did you mean --tries?)', ''], [Suggestion::hint('trys', ['tries'], '--%s'), Suggestion::hint('trys', ['connection'])]);

// What a broker does not count is not 0.
$stats = ['ready' => 2, 'delayed' => 0, 'reserved' => 0, 'failed' => 1];
same('RabbitMQ', ['ready' => 2, 'delayed' => null, 'reserved' => null, 'failed' => 1, 'size' => 2], QueueCounts::known($stats, 'amqp'));
same('others', $stats + ['size' => 2], QueueCounts::known($stats, 'redis'));

// A table fits: cells are cut, the longest first; then columns go, or rows take two lines.
$drawn = function (array $columns, ?int $width, array ...$rows): array {
    $output = new BufferedOutput();
    (new Grid($columns, $width))->render($output, $rows);
    return array_map('rtrim', explode("\n", rtrim($output->fetch(), "\n")));
};
$columns = [new Column('Id'), new Column('Name', least: 6, keepEnd: true), new Column('Note', least: 4, most: 20, rank: 1)];
$row = ['12345', 'a-long-name', 'a note of many words, cut'];
same('no limit but its own', ['Id    Name        Note', '12345 a-long-name a note of many word…'], $drawn($columns, null, $row));
same('the longest is cut first', ['Id    Name        Note', '12345 a-long-name a note of m…'], $drawn($columns, 31, $row));
same('then all that may be', ['Id    Name   Note', '12345 …-name a not…'], $drawn($columns, 20, $row));
same('then a column goes', ['Id    Name', '12345 …g-name'], $drawn($columns, 14, $row));
same('what may not be cut stays', ['Id    Name', '12345 …-name'], $drawn($columns, 3, $row));
$columns = [new Column('Id', leads: true), new Column('Tries'), new Column('Why', least: 30)];
same('two lines', ['12345', '    tries 3  a reason t…'], $drawn($columns, 24, ['12345', 3, 'a reason that is long']));
same('nothing steers the terminal or starts a tag', ['Id', '\u{1B}[2J<error>x'], $drawn([new Column('Id')], null, ["\x1b[2J<error>x"]));
$coloured = new BufferedOutput(decorated: true);
(new Grid([new Column('Id')], null))->render($coloured, [[['<b>', 'fg=red']]]);
holds('a style', "\x1b[31m<b>\x1b[39m", $coloured->fetch());

// Rates come of two looks.
$queue = fn (int $ready, ?string $head) => ['ready' => $ready, 'delayed' => 1, 'reserved' => 0, 'failed' => 0, 'size' => $ready + 1, 'head' => $head, 'paused' => false];
$worker = fn (string $id, int $processed) => ['id' => $id, 'processed' => $processed, 'failed' => 0];
$trend = new Trend();
$first = $trend->add(new Snapshot(100.0, ['mail' => $queue(5, 'a')], [$worker('x', 10)]));
same('the first look has no rates', [null, null, 0.0], [$first['processed_per_second'], $first['queues'][0]['growth_per_second'], $first['queues'][0]['head_waits_at_least']]);
$second = $trend->add(new Snapshot(102.0, ['mail' => $queue(3, 'a')], [$worker('x', 20), $worker('new', 4)]));
same('the second has', [7.0, -1.0, 2.0], [$second['processed_per_second'], $second['queues'][0]['growth_per_second'], $second['queues'][0]['head_waits_at_least']]);
$third = $trend->add(new Snapshot(103.0, ['mail' => $queue(3, 'b')], [$worker('new', 1)]));
same('a new head, a worker that began anew', [0.0, 0.0], [$third['queues'][0]['head_waits_at_least'], $third['processed_per_second']]);
same('an empty queue has no head', null, $trend->add(new Snapshot(104.0, ['mail' => $queue(0, null)], []))['queues'][0]['head_waits_at_least']);

$unknown = $trend->add(new Snapshot(105.0, ['mail' => ['delayed' => null, 'reserved' => null] + $queue(1, null)], null));
same('workers that nobody reports', [null, null], [$unknown['workers'], $unknown['processed_per_second']]);
$lines = View::lines($unknown);
check('what is not known is no number', str_contains($lines[0], 'ready=1 delayed=- reserved=-') && str_contains($lines[1], 'workers=- done/s=-'), $lines);

// A screen of 80 columns, and narrower ones.
$report = ['time' => 0, 'processed_per_second' => 12345.6, 'failed_per_second' => 0.1, 'queues' => [
    ['queue' => 'default', 'ready' => 123456, 'delayed' => 30, 'reserved' => 64, 'failed' => 2, 'size' => 123550, 'paused' => false, 'growth_per_second' => -1234.5, 'head_waits_at_least' => 100.0],
    ['queue' => 'a-queue-with-a-name-of-more-than-forty-letters', 'ready' => 1, 'delayed' => null, 'reserved' => null, 'failed' => 0, 'size' => 1, 'paused' => true, 'growth_per_second' => null, 'head_waits_at_least' => null],
], 'workers' => [['host' => 'web-01.example.internal', 'pid' => 1234567, 'queues' => ['high', 'default', 'low'], 'state' => 'working', 'job' => 'app\\job\\SendInvoiceByMail', 'processed' => 1234567, 'failed' => 12, 'memory' => 345 << 20, 'started' => 0, 'seen' => 0]]];
foreach ([200, 150, 92, 80, 60, 50] as $width) {
    $screen = View::screen($report, 'a connection with a long name', 32, false, $width);
    foreach (explode("\n", $screen) as $line) {
        check("$width columns are enough", mb_strwidth(rtrim($line)) <= $width, mb_strwidth(rtrim($line)) . ": $line");
    }
    foreach (['default', '123456', '…', ':1234567', 'working'] as $piece) {
        holds("in $width columns", $piece, $screen . '…');
    }
}
foreach (['█', 'app', 'Oldest'] as $piece) {
    holds('with room enough', $piece, View::screen($report, 'c', 32, false, 150));
}

$bar = fn (int $ready, int $reserved, int $delayed, int $most) => strip_tags(View::bar(['ready' => $ready, 'reserved' => $reserved, 'delayed' => $delayed], $most));
same('no jobs, no bar', '', $bar(0, 0, 0, 1));
same('a full bar', str_repeat('█', 30), $bar(7, 0, 0, 7));
same('thirds', str_repeat('█', 10) . str_repeat('▓', 10) . str_repeat('░', 10), $bar(1, 1, 1, 3));
same('few among many still show', '█▓░', $bar(1, 1, 1, 1_000_000));
done();
--EXPECT--
ok
