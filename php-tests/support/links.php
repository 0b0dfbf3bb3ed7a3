<?php
// Workers behind links that break: each scene is a proxy, a worker behind it and a queue of their own, all on one Redis.

require_once __DIR__ . '/redis.php';
require_once __DIR__ . '/proxy.php';

/** Seconds without an answer after which a link counts as broken. */
const SILENCE = 1;
/** The longest pause between two tries. */
const PAUSE = 5;

final class Scene
{
    private Child $worker;
    private string $go;

    private function __construct(public readonly string $name, public readonly Proxy $proxy, private RedisServer $server, private int $retryAfter)
    {
        $this->go = temp_dir() . "/go-$name";
    }

    /** A worker that is idle behind its proxy, and has worked before. */
    public static function set(string $name, RedisServer $server, int $retryAfter, array $options = []): self
    {
        $scene = new self($name, Proxy::before($server->port), $server, $retryAfter);
        $options = var_export($options + ['log' => 'none'], true);
        $scene->worker = Child::php(<<<PHP
        class Says
        {
            public function fire(\$job, \$data)
            {
                echo "began \$data\\n";
                if (\$data !== 'first' && \$data !== 'last') {
                    wait_until(fn () => file_exists(\$data) || \$job->isLost(), 'it may go on', 40);
                }
                if (\$job->isLost()) {
                    echo "lost \$data\\n";
                    return;
                }
                \$job->delete();
                echo "did \$data\\n";
            }
        }
        exit((new Ferry\Worker($options))->run());
        PHP, [], ['FERRY_URL' => $scene->dsn($scene->proxy->port)]);
        $scene->queue()->push('Says', 'first');
        $scene->worker->says('did first');
        // Its deletion too, before anything breaks.
        wait_until(fn () => array_sum($scene->queue()->stats()) === 0, "{$scene->name}: the first job is gone");
        return $scene;
    }

    private function dsn(int $port): string
    {
        return "redis://127.0.0.1:$port?queue={$this->name}&retry_after={$this->retryAfter}&timeout=1&read_timeout=" . SILENCE;
    }

    /** The queue, past the proxy. */
    public function queue(): Ferry\Connection
    {
        return new Ferry\Connection($this->dsn($this->server->port));
    }

    /** Starts a job that runs until `letGo()`. */
    public function startJob(): void
    {
        $this->queue()->push('Says', $this->go);
        $this->worker->says('began ' . $this->go);
    }

    public function letGo(): void
    {
        touch($this->go);
    }

    public function says(string $text): void
    {
        $this->worker->says($text);
    }

    public function notices(): void
    {
        wait_until(fn () => str_contains($this->worker->err(), 'trying again'), "{$this->name}: the worker misses its broker");
    }

    public function recovers(float $seconds): void
    {
        wait_until(fn () => str_contains($this->worker->err(), 'answers again'), "{$this->name}: the worker is back; {$this->worker->err()}", $seconds);
    }

    /** Another job comes through, and nothing is left. */
    public function works(float $seconds): void
    {
        $this->queue()->push('Says', 'last');
        $this->worker->says('did last', $seconds);
        wait_until(fn () => array_sum($this->queue()->stats()) === 0, "{$this->name}: nothing is left", $seconds);
    }

    /** How often something was said. */
    public function times(string $text): int
    {
        return substr_count($this->worker->out(), $text);
    }

    public function runsOfTheJob(): int
    {
        return $this->times('began ' . $this->go);
    }

    /** The worker leaves, and an outage had one line each way; beside them there are only those that say that the job was not settled. */
    public function end(int $outages, int $unsettled = 0): void
    {
        $this->worker->signal(SIGTERM);
        same("{$this->name}: exit code", 0, $this->worker->wait());
        $said = array_filter(explode("\n", $this->worker->err()));
        same("{$this->name}: one line for the outage", $outages, count(preg_grep('/; trying again$/', $said)));
        same("{$this->name}: one line for its end", $outages, count(preg_grep('/the broker answers again$/', $said)));
        $others = preg_grep('/; trying again$|the broker answers again$/', $said, PREG_GREP_INVERT);
        $others = array_diff($others, array_slice(preg_grep('/is not settled and stays reserved until its lease ends: /', $others), 0, $unsettled));
        same("{$this->name}: no other line", '', implode("\n", $others));
    }
}

/**
 * Every way to break a link: what the proxy does, and on which ways. Half-open ones are silent or lost.
 *
 * @return iterable<string, array{string, list<string>}>
 */
function ways_to_break(): iterable
{
    yield 'away' => ['away', []];
    yield 'cut' => ['cut', []];
    foreach (['silence', 'lose'] as $how) {
        yield "$how-up" => [$how, ['up']];
        yield "$how-down" => [$how, ['down']];
        yield "$how-both" => [$how, ['up', 'down']];
    }
}
