<?php

// The time from push to fire: a worker process waits idle, this process pushes now and then.

declare(strict_types=1);

namespace Bench;

/** A worker process that says a dot for each job and, at its end, how long each took. */
final class IdleWorker
{
    private function __construct(private $process, private array $pipes)
    {
    }

    public static function start(string $kind, bool $bound): self
    {
        $command = placed($bound, [php(), '-d', 'extension=' . extension(), dirname(__DIR__) . '/workers/fire.php', $kind]);
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
        return $process === false ? fail("cannot start a worker: $kind") : new self($process, $pipes);
    }

    public function pid(): int
    {
        return proc_get_status($this->process)['pid'];
    }

    public function wait_for_dot(): void
    {
        $dot = fread($this->pipes[1], 1);
        $dot === '.' || fail('a worker ended early: ' . $dot . stream_get_contents($this->pipes[1]));
    }

    /** @return list<float> microseconds of every job */
    public function stop(): array
    {
        proc_terminate($this->process, SIGTERM);
        $said = stream_get_contents($this->pipes[1]);
        proc_close($this->process);
        return json_decode($said, true) ?? fail("a worker said: $said");
    }
}

/**
 * Pushes jobs with pauses of the given milliseconds in between, and answers how long each took to be fired. The first is not
 * counted: it tells that the worker is up.
 */
function push_to_fire(string $kind, callable $push, int $jobs, int $shortest, int $longest): array
{
    $worker = IdleWorker::start($kind, (bool) getenv('BENCH_BOUND'));
    for ($n = 0; $n <= $jobs; $n++) {
        $push(['pushed' => hrtime(true)]);
        $worker->wait_for_dot();
        usleep(random_int($shortest * 1000, $longest * 1000));
    }
    $took = array_slice($worker->stop(), 1);
    expect($jobs, count($took), "$kind: jobs fired");
    return $took;
}
