<?php
// A mixed fleet: think-queue's producers and workers beside ours on one queue of one Redis, and the books of who ran what.
//
// Every process writes a line for each run of a job into a file of its own; at the end the files say what was lost or doubled.

require_once __DIR__ . '/redis.php';
require_once __DIR__ . '/think-peers.php';

const FLEET = 'fleet';
const RETRY_AFTER = 4;

/** What job number n does the first time it runs; afterwards it is done. */
function first_run(int $number): string
{
    return match ($number % 50) {
        0 => 'abandon',
        10 => 'release now',
        20 => 'release later',
        30 => 'throw',
        default => 'done',
    };
}

/** Seconds that job number n is pushed ahead of its time. */
function ahead(int $number): int
{
    return $number % 10 === 3 ? 1 + $number % 4 : 0;
}

/** The handler, in old workers and in ours. */
final class Crossing
{
    public function fire($job, $number)
    {
        $does = $job->attempts() === 1 ? first_run($number) : 'done';
        // So that the fast ones leave something to the slow ones.
        usleep(300);
        fwrite($GLOBALS['book'], "$number {$job->attempts()}\n");
        match ($does) {
            'abandon' => null,
            'release now' => $job->release(0),
            'release later' => $job->release(1),
            'throw' => throw new RuntimeException('now and then'),
            'done' => $job->delete(),
        };
    }
}

final class Fleet
{
    /** @var array<string, Child> */
    private array $producers = [];
    /** @var array<string, Child> */
    private array $old = [];
    /** @var array<string, Child> */
    private array $ours = [];
    private int $jobs = 0;
    /** @var array<int, string> the last number of each producer => who it is, old or ours */
    private array $pushedBy = [];

    public function __construct(private string $family, private RedisServer $server)
    {
    }

    /** A producer of the next `$jobs` numbers: `ferry`, `phpredis` or `predis`. */
    public function producer(string $kind, int $jobs): void
    {
        [$from, $to] = [$this->jobs + 1, $this->jobs += $jobs];
        $this->pushedBy[$to] = $kind === 'ferry' ? 'ours' : 'old';
        $queue = $kind === 'ferry' ? 'Ferry\Queue::connection()' : $this->peer($kind);
        $this->producers["$from-$to by $kind"] = $this->child('producer-' . count($this->producers), <<<PHP
        \$queue = $queue;
        for (\$number = $from; \$number <= $to; \$number++) {
            ahead(\$number) === 0 ? \$queue->push('Crossing', \$number) : \$queue->later(ahead(\$number), 'Crossing', \$number);
        }
        PHP);
    }

    /** A worker with think-queue's commands. It is asked to leave between two jobs, never killed. */
    public function oldWorker(string $client): void
    {
        $name = "$client-" . count($this->old);
        $stop = var_export($this->stopFile(), true);
        $this->old[$name] = $this->child($name, <<<PHP
        \$queue = {$this->peer($client)};
        while (!file_exists($stop)) {
            \$popped = \$queue->pop();
            \$popped === null ? usleep(20_000) : (new PeerJob(\$queue, ...\$popped))->run();
        }
        PHP);
    }

    /** A worker of ours. */
    public function ourWorker(string $settle): void
    {
        $name = "ferry-$settle-" . count($this->ours);
        $this->ours[$name] = $this->child($name, <<<PHP
        \$worker = new Ferry\Worker(['log' => 'none', 'settle' => '$settle', 'prefetch' => 16]);
        foreach (['lost', 'settle_lost', 'failed'] as \$event) {
            \$worker->on(\$event, function () use (\$event) { fwrite(STDERR, "\$event\n"); });
        }
        exit(\$worker->run());
        PHP);
    }

    /** Waits until every job is done and the queue is empty, or for `$seconds`; then everybody leaves. */
    public function finish(float $seconds): void
    {
        Ferry\Queue::configure($this->dsn());
        $end = clock() + $seconds;
        while (clock() < $end && !(Ferry\Queue::size() === 0 && $this->countDone() >= $this->jobs)) {
            usleep(100_000);
        }
        touch($this->stopFile());
        array_map(fn ($child) => $child->signal(SIGTERM), $this->ours);
        foreach ($this->producers + $this->old + $this->ours as $name => $child) {
            same("$name leaves well", 0, $child->wait(10));
            same("$name has no complaint", '', $child->err());
        }
        same('nothing is left', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Ferry\Queue::stats());
    }

    /** Compares the books with what was pushed: every run of every job, and its attempts. */
    public function compare(): void
    {
        $runs = $this->runs();
        $wrong = ['lost' => [], 'run too often' => [], 'attempts miscounted' => []];
        for ($number = 1; $number <= $this->jobs; $number++) {
            $wanted = first_run($number) === 'done' ? [1] : [1, 2];
            $attempts = array_column($runs[$number] ?? [], 'attempt');
            sort($attempts);
            match (true) {
                count($attempts) < count($wanted) => $wrong['lost'][] = $number,
                count($attempts) > count($wanted) => $wrong['run too often'][] = $number,
                $attempts !== $wanted => $wrong['attempts miscounted'][] = $number,
                default => null,
            };
        }
        foreach ($wrong as $what => $numbers) {
            same($what, '', implode(' ', $numbers));
        }
        same('jobs that nobody pushed', [], array_diff(array_keys($runs), range(1, $this->jobs)));
        $this->compareWays($runs);
    }

    /** Every kind of job went over from them to us and from us to them. */
    private function compareWays(array $runs): void
    {
        $shares = ['old' => 0, 'ours' => 0];
        $ways = [];
        foreach ($runs as $number => $of) {
            $pushed = ahead($number) === 0 ? 'push' : 'later';
            foreach ($of as ['attempt' => $attempt, 'who' => $who]) {
                $shares[$who]++;
                $from = $attempt === 1 ? $this->producerOf($number) : array_column($of, 'who', 'attempt')[1];
                $ways[$attempt === 1 ? $pushed : first_run($number)]["$from to $who"] = true;
            }
        }
        check('both sides had their share', min($shares) > array_sum($shares) / 20, $shares);
        same('kinds of ways', 6, count($ways));
        foreach ($ways as $how => $seen) {
            check("jobs crossed over both ways by `$how`", isset($seen['old to ours'], $seen['ours to old']), $seen);
        }
        [$old, $ours] = [count($this->old), count($this->ours)];
        printf("%d jobs, %d runs: %d by %d old workers, %d by %d of ours\n", $this->jobs, array_sum($shares), $shares['old'], $old, $shares['ours'], $ours);
    }

    private function producerOf(int $number): string
    {
        foreach ($this->pushedBy as $last => $who) {
            if ($number <= $last) {
                return $who;
            }
        }
        return 'nobody';
    }

    /** @return array<int, list<array{attempt: int, who: string}>> number => its runs, by old workers or by ours */
    private function runs(): array
    {
        $runs = [];
        foreach (['old' => $this->old, 'ours' => $this->ours] as $who => $workers) {
            foreach (array_keys($workers) as $name) {
                foreach (file($this->bookOf($name), FILE_IGNORE_NEW_LINES) as $line) {
                    [$number, $attempt] = array_map('intval', explode(' ', $line));
                    $runs[$number][] = ['attempt' => $attempt, 'who' => $who];
                }
            }
        }
        return $runs;
    }

    /** How many jobs have come to their last run. */
    private function countDone(): int
    {
        $runs = $this->runs();
        $last = fn ($number) => first_run($number) === 'done' ? 1 : 2;
        return count(array_filter(array_keys($runs), fn ($number) => in_array($last($number), array_column($runs[$number], 'attempt'), true)));
    }

    private function child(string $name, string $code): Child
    {
        $book = var_export($this->bookOf($name), true);
        touch($this->bookOf($name));
        $code = 'require ' . var_export(__FILE__, true) . ";\n\$GLOBALS['book'] = fopen($book, 'a');\n$code";
        return Child::php($code, [], ['FERRY_URL' => $this->dsn()]);
    }

    private function peer(string $client): string
    {
        return "think_peer('$this->family', '$client', {$this->server->port}, '" . FLEET . "', " . RETRY_AFTER . ')';
    }

    private function dsn(): string
    {
        return $this->server->dsn('queue=' . FLEET . '&retry_after=' . RETRY_AFTER . "&family=$this->family");
    }

    private function bookOf(string $name): string
    {
        return temp_dir() . "/book-$name";
    }

    private function stopFile(): string
    {
        return temp_dir() . '/leave';
    }
}

/** Twenty thousand jobs among producers and workers of both kinds. */
function run_mixed_fleet(string $family, int $jobs = 20_000): void
{
    $predis = PredisAsPhpredis::isInstalled() ? 'predis' : 'phpredis';
    $fleet = new Fleet($family, RedisServer::start());
    foreach (['ferry', 'phpredis', 'ferry', $predis] as $kind) {
        $fleet->producer($kind, intdiv($jobs, 4));
    }
    foreach (['phpredis', 'phpredis', $predis] as $client) {
        $fleet->oldWorker($client);
    }
    $fleet->ourWorker('pipelined');
    $fleet->ourWorker('immediate');
    $start = clock();
    $fleet->finish(50);
    $fleet->compare();
    printf("%s with %s in %.1f s\n", $family, $predis, clock() - $start);
    done();
}
