<?php
// Plain Redis tasks among old programs and ours, some of them killed, and the book of who did what.
//
// The old programs are written here with the recorded commands of the original (fixtures/redis-task.json); only the pause before a retry is
// shorter. Everybody writes into one list of the server, `book`, over a connection of its own: what a killed process wrote stays.

require_once __DIR__ . '/redis.php';

const TASKS = 'mixed';
const LEASE = 4;
/** Tasks that a worker of ours may hold: what one death may reach. */
const HELD = 16;

/** What task number n does: most are done at once. */
function does(int $number): string
{
    return match ($number % 50) {
        10 => 'false once',
        20 => 'throws once',
        30 => 'never works',
        default => 'done',
    };
}

/** Seconds that task number n is pushed ahead of its time. */
function ahead(int $number): int
{
    return $number % 10 === 3 ? 1 + $number % 3 : 0;
}

function attempts_of(int $number): int
{
    return does($number) === 'never works' ? 2 : 3;
}

/** The work, in old workers and in ours. It is in the book that it began, and that it is done. */
function work(Redis $book, int $number, int $attempt): bool
{
    $who = getenv('WHO') . ' ' . getmypid();
    $book->rPush('book', "run $number $attempt $who");
    usleep(mt_rand(500, 2500));
    if (does($number) === 'never works' || ($attempt === 1 && does($number) === 'throws once')) {
        throw new RuntimeException('smtp down');
    }
    if ($attempt === 1 && does($number) === 'false once') {
        return false;
    }
    $book->rPush('book', "done $number $attempt $who");
    return true;
}

function connected(): Redis
{
    $redis = new Redis();
    $redis->connect('127.0.0.1', (int) getenv('TASKS_PORT'));
    return $redis;
}

/** The original's programs, command by command. */
final class OldProgram
{
    /** 60 in the original. */
    private const PAUSE = 1;

    public function __construct(private Redis $redis, private Redis $book)
    {
    }

    public static function body(int $number): array
    {
        return [
            'id' => uniqid('task_', true), 'class' => 'Numbered', 'data' => ['n' => $number], 'attempts' => 0,
            'max_attempts' => attempts_of($number), 'delay' => ahead($number), 'created_at' => time(),
        ];
    }

    public function push(array $task): void
    {
        $body = json_encode($task, JSON_UNESCAPED_UNICODE);
        $task['delay'] > 0
            ? $this->redis->zAdd('delayed_queue:' . TASKS, time() + $task['delay'], $body)
            : $this->redis->lPush(TASKS, $body);
    }

    public function work(): void
    {
        $this->note('waiting');
        foreach ($this->redis->zRangeByScore('delayed_queue:' . TASKS, '0', (string) time()) as $due) {
            $number = json_decode($due, true)['data']['n'];
            $this->note("moving $number");
            [, $removed] = $this->redis->multi(Redis::PIPELINE)->lPush(TASKS, $due)->zRem('delayed_queue:' . TASKS, $due)->exec();
            $this->note("moved $number $removed");
        }
        $this->note('waiting');
        $popped = $this->redis->brPop([TASKS], 5);
        if (!$popped) {
            return;
        }
        $task = json_decode($popped[1], true);
        $this->note("taken {$task['data']['n']}");
        $task['attempts']++;
        try {
            $works = work($this->book, $task['data']['n'], $task['attempts']);
            $error = 'Task execution failed';
        } catch (Exception $e) {
            [$works, $error] = [false, $e->getMessage()];
        }
        if (!$works) {
            $task['attempts'] < $task['max_attempts'] ? $this->retry($task) : $this->markAsFailed($task, $error);
        }
        $this->note('settled');
    }

    private function retry(array $task): void
    {
        $this->push(['delay' => self::PAUSE * 2 ** ($task['attempts'] - 1)] + $task);
    }

    /** The original's queue is an undefined variable here: every failure goes to the default one. */
    private function markAsFailed(array $task, string $error): void
    {
        $body = json_encode($task, JSON_UNESCAPED_UNICODE);
        $record = ['task' => $body, 'error' => $error, 'failed_at' => date('Y-m-d H:i:s'), 'attempts' => $task['attempts']];
        $this->redis->lPush('failed_queue:default_queue', json_encode($record, JSON_UNESCAPED_UNICODE));
    }

    private function note(string $what): void
    {
        $this->book->rPush('book', "old " . getmypid() . " $what");
    }
}

if (class_exists('Ferry\RedisTask\Task')) {
    class Numbered extends Ferry\RedisTask\Task
    {
        private static ?Redis $book = null;

        public function handle(): bool
        {
            return work(self::$book ??= connected(), $this->data['n'], $this->attempts);
        }
    }
}

/** Producers and workers of both kinds on one queue. */
final class PlainTasks
{
    private RedisServer $server;
    private Redis $redis;
    /** @var list<Child> */
    private array $producers = [];
    /** @var array<string, list<Child>> those at work, by kind */
    private array $workers = ['old' => [], 'ours' => []];
    /** @var array<int, string> pid => kind of those that were killed */
    private array $killed = [];

    public function __construct(private int $tasks)
    {
        $this->server = RedisServer::start();
        $this->redis = $this->server->client();
    }

    /** Half of the tasks come from an old producer, half from ours. */
    public function produce(): void
    {
        $half = intdiv($this->tasks, 2);
        $this->producers[] = $this->child('producer', <<<PHP
        \$program = new OldProgram(connected(), connected());
        for (\$n = 1; \$n <= $half; \$n++) {
            \$program->push(OldProgram::body(\$n));
        }
        PHP);
        $this->producers[] = $this->child('producer', <<<PHP
        for (\$n = $half + 1; \$n <= $this->tasks; \$n++) {
            \$task = new Numbered(['n' => \$n]);
            [\$task->maxAttempts, \$task->delay] = [attempts_of(\$n), ahead(\$n)];
            \$manager->push(\$task, TASKS);
        }
        PHP);
    }

    public function start(string $kind, int $workers): void
    {
        while ($workers-- > 0) {
            $this->workers[$kind][] = $this->worker($kind);
        }
    }

    /** Kills a worker of this kind at random, and starts another in its place, each time `$each` more tasks are done. */
    public function killWhileTheyWork(string $kind, int $kills): void
    {
        $each = intdiv($this->tasks * 9, $kills * 10);
        for ($kill = 1; $kill <= $kills; $kill++) {
            wait_until(fn () => $this->countOf('done') >= $kill * $each, "kill $kill of $kills is due", 50);
            usleep(mt_rand(0, 5000));
            $at = array_rand($this->workers[$kind]);
            $victim = $this->workers[$kind][$at];
            $victim->signal(SIGKILL);
            same('a killed worker is gone', 128 + SIGKILL, $victim->wait(5));
            $this->killed[$victim->pid] = $kind;
            $this->workers[$kind][$at] = $this->worker($kind);
        }
    }

    /** Waits until nothing is left to do; then everybody leaves. */
    public function finish(): void
    {
        foreach ($this->producers as $producer) {
            same('a producer ends well', [0, ''], [$producer->wait(50), $producer->err()]);
        }
        $this->waitUntilEmpty();
        // What an old worker has in its hands when it is asked to leave may come back as a retry.
        touch($this->stopFile());
        $this->leave('old');
        $this->waitUntilEmpty();
        array_map(fn (Child $worker) => $worker->signal(SIGTERM), $this->workers['ours']);
        $this->leave('ours');
    }

    /** The book, the failed lists and what was killed, compared with what was pushed. */
    public function account(): TaskAccount
    {
        $failed = array_merge($this->redis->lRange('failed_queue:' . TASKS, 0, -1), $this->redis->lRange('failed_queue:default_queue', 0, -1));
        return new TaskAccount($this->tasks, $this->redis->lRange('book', 0, -1), $failed, $this->killed);
    }

    private function leave(string $kind): void
    {
        foreach ($this->workers[$kind] as $worker) {
            same("a worker of kind $kind leaves well", [0, ''], [$worker->wait(15), $worker->err()]);
        }
    }

    private function waitUntilEmpty(): void
    {
        $left = fn () => $this->redis->lLen(TASKS) + $this->redis->zCard('delayed_queue:' . TASKS) + $this->redis->zCard(TASKS . ':ferry:reserved');
        wait_until(fn () => $left() === 0, 'every task is worked', 50);
    }

    private function countOf(string $what): int
    {
        // The book only grows: what was counted is not read again.
        static $counts = [], $read = 0;
        foreach ($this->redis->lRange('book', $read, -1) as $line) {
            $read++;
            $first = strtok($line, ' ');
            $counts[$first] = ($counts[$first] ?? 0) + 1;
        }
        return $counts[$what] ?? 0;
    }

    private function worker(string $kind): Child
    {
        $stop = var_export($this->stopFile(), true);
        return $this->child($kind, match ($kind) {
            'old' => "\$program = new OldProgram(connected(), connected());\nwhile (!file_exists($stop)) {\n    \$program->work();\n}",
            'ours' => 'exit((new Ferry\RedisTask\Worker($manager, ["log" => "none", "backoff" => 1, "prefetch" => HELD]))->start(TASKS));',
        });
    }

    private function child(string $kind, string $code): Child
    {
        $start = 'require ' . var_export(__FILE__, true) . ";\n";
        $start .= "\$link = ['type' => 'redis', 'family' => 'redis-task', 'port' => (int) getenv('TASKS_PORT'), 'retry_after' => LEASE];\n";
        $start .= "\$manager = new Ferry\\RedisTask\\QueueManager(new Ferry\\Connection(\$link));\n";
        return Child::php($start . $code, [], ['TASKS_PORT' => (string) $this->server->port, 'WHO' => $kind]);
    }

    private function stopFile(): string
    {
        return temp_dir() . '/leave';
    }
}

/** What became of each task, and whether somebody's death, or a recorded bug of an old worker, explains it. */
final class TaskAccount
{
    /** @var array<int, array<int, list<int>>> number => attempt => pids that began it */
    private array $runs = [];
    /** @var array<int, array<int, list<int>>> number => attempt => pids that finished it */
    private array $done = [];
    /** @var array<int, int> number => failure records */
    private array $failed = [];
    /** @var array<int, int> number => copies that old workers made (bug 3): they moved what another one had moved */
    private array $copies = [];
    /** @var array<int, list<string>> pid => the last words of each old worker */
    private array $last = [];
    /** @var array<string, int> who pushed it, who ran it => runs */
    private array $ways = ['old to old' => 0, 'old to ours' => 0, 'ours to old' => 0, 'ours to ours' => 0];

    public function __construct(private int $tasks, array $book, array $failed, private array $killed)
    {
        foreach ($book as $line) {
            $this->read(explode(' ', $line));
        }
        foreach ($failed as $record) {
            $number = json_decode(json_decode($record, true)['task'], true)['data']['n'];
            $this->failed[$number] = ($this->failed[$number] ?? 0) + 1;
        }
        foreach (array_keys($this->killed, 'old', true) as $pid) {
            $words = $this->last[$pid] ?? ['waiting'];
            if ($words[0] === 'moving') {
                $this->copied((int) $words[1]);
            }
        }
    }

    private function read(array $words): void
    {
        if ($words[0] === 'old') {
            $this->last[(int) $words[1]] = array_slice($words, 2);
            if ($words[2] === 'moved' && $words[4] === '0') {
                $this->copied((int) $words[3]);
            }
            return;
        }
        [$what, $number, $attempt, $who, $pid] = $words;
        if ($what === 'run') {
            $this->runs[(int) $number][(int) $attempt][] = (int) $pid;
            $this->ways[($number > $this->tasks / 2 ? 'ours' : 'old') . " to $who"]++;
        } else {
            $this->done[(int) $number][(int) $attempt][] = (int) $pid;
        }
    }

    private function copied(int $number): void
    {
        $this->copies[$number] = ($this->copies[$number] ?? 0) + 1;
    }

    /** Tasks that are neither done nor among the failed ones. @return list<int> */
    public function lost(): array
    {
        return array_values(array_filter(range(1, $this->tasks), fn ($number) => !isset($this->done[$number]) && !isset($this->failed[$number])));
    }

    /** Of these, tasks that a killed old worker had noted as taken (bug 2: it took them without a lease). @return list<int> */
    public function takenByKilled(): array
    {
        $taken = [];
        foreach (array_keys($this->killed, 'old', true) as $pid) {
            $words = $this->last[$pid] ?? ['waiting'];
            if ($words[0] === 'taken') {
                $taken[] = (int) $words[1];
            }
        }
        return array_values(array_unique($taken));
    }

    /** Old workers that were killed while BRPOP waited: each may have been given one task that it could not note any more. */
    public function killedWhileTheyWaited(): int
    {
        $waiting = fn ($pid) => ($this->last[$pid] ?? ['waiting'])[0] === 'waiting';
        return count(array_filter(array_keys($this->killed, 'old', true), $waiting));
    }

    /** Runs that nothing explains: neither the death of who held the attempt before, nor its failure, nor a copy of an old worker. */
    public function unexplainedRuns(): array
    {
        $wrong = [];
        foreach ($this->runs as $number => $attempts) {
            $chains = 1 + ($this->copies[$number] ?? 0);
            for ($attempt = 1; $attempt <= max(array_keys($attempts)); $attempt++) {
                $began = $attempts[$attempt] ?? [];
                if (count($began) > $chains) {
                    $wrong[] = "task $number: attempt $attempt ran " . count($began) . ' times';
                }
                // Where nobody began an attempt, a worker was killed that held the task.
                $ended = count(array_filter($began, fn ($pid) => $this->mayRunAgain($number, $attempt, $pid)));
                $next = $attempts[$attempt + 1] ?? [];
                if (count($next) > $ended + $chains - count($began)) {
                    $wrong[] = "task $number: attempt " . ($attempt + 1) . ' ran, although nobody died or failed in the one before';
                }
            }
        }
        return $wrong;
    }

    private function mayRunAgain(int $number, int $attempt, int $pid): bool
    {
        return isset($this->killed[$pid]) || !in_array($pid, $this->done[$number][$attempt] ?? [], true);
    }

    /** Attempts that were counted and that nobody began: a worker was killed that held the task unstarted. */
    public function neverBegun(): int
    {
        $gaps = 0;
        foreach ($this->runs as $attempts) {
            $gaps += max(array_keys($attempts)) - count($attempts);
        }
        return $gaps;
    }

    /** Tasks that failed for good although they work, and whose last attempt did not end with a death. */
    public function failedForNothing(): array
    {
        $wrong = [];
        foreach (array_keys($this->failed) as $number) {
            $last = $this->runs[$number][attempts_of($number)] ?? [];
            $died = array_filter($last, fn ($pid) => isset($this->killed[$pid]));
            if (does($number) !== 'never works' && $died === []) {
                $wrong[] = $number;
            }
        }
        return $wrong;
    }

    /** Tasks with more failure records than copies explain, and those that never work and yet have none. */
    public function wronglyRecorded(array $lost): array
    {
        $wrong = [];
        for ($number = 1; $number <= $this->tasks; $number++) {
            $records = $this->failed[$number] ?? 0;
            $wanted = does($number) === 'never works' && !in_array($number, $lost, true) ? 1 : 0;
            if ($records < $wanted || $records > 1 + ($this->copies[$number] ?? 0)) {
                $wrong[$number] = $records;
            }
        }
        return $wrong;
    }

    /** Tasks went over both ways, from old programs to ours and from ours to old ones. */
    public function checkWays(): void
    {
        check('tasks went over both ways', min($this->ways) > $this->tasks / 100, $this->ways);
    }

    public function text(): string
    {
        $ways = implode(', ', array_map(fn ($way, $runs) => "$way $runs", array_keys($this->ways), $this->ways));
        $copies = array_sum($this->copies);
        return "$this->tasks tasks, " . count($this->killed) . " kills; runs: $ways; copies by old workers: $copies";
    }
}
