<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

use Ferry\Connection;
use Ferry\Queue;
use Ferry\Worker;

/** Measures one connection, in a queue of its own. Every measurement ends after some seconds, however slow the server is. */
final class Measurement
{
    private const CHUNK = 1000;
    /** Pushes to an idle worker, this many microseconds apart at least and at most. */
    private const FIRES = 50;
    private const GAP = [10_000, 30_000];

    public function __construct(private Connection $connection, private string $queue, private int $jobs, private float $seconds)
    {
    }

    /** Jobs a second, pushed one by one. */
    public function push(): float
    {
        return $this->rate(fn () => $this->connection->push(Handler::class, 0, $this->queue) === null ? 0 : 1);
    }

    /** Jobs a second, pushed in calls of bulk() with 1,000 jobs each. */
    public function bulk(): float
    {
        $chunk = array_fill(0, self::CHUNK, Handler::class);
        return $this->rate(function () use ($chunk) {
            $this->connection->bulk($chunk, 0, $this->queue);
            return self::CHUNK;
        });
    }

    /** Jobs a second of one worker, until the queue is empty. */
    public function drain(): float
    {
        Handler::$count = 0;
        $begun = hrtime(true);
        $code = $this->worker(['stop_when_empty' => true, 'max_time' => max(1, (int) ceil(10 * $this->seconds))])->run();
        $took = (hrtime(true) - $begun) / 1e9;
        return $code === 0 ? Handler::$count / $took : throw new \RuntimeException("the worker ended with exit code $code");
    }

    /**
     * Milliseconds from push() here to fire() in an idle worker in another process.
     *
     * @return list<float>
     */
    public function pushToFire(): array
    {
        [$read, $write] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, STREAM_IPPROTO_IP) ?: throw new \RuntimeException('no pipe could be made');
        $pid = pcntl_fork();
        if ($pid === 0) {
            $this->reportFires($write);
        }
        fclose($write);
        try {
            return $this->times($read);
        } finally {
            posix_kill($pid, SIGTERM);
            pcntl_waitpid($pid, $status);
        }
    }

    /** @param resource $read @return list<float> */
    private function times($read): array
    {
        stream_set_timeout($read, 30);
        if (fgets($read) === false) {
            throw new \RuntimeException('the worker did not reach the broker within 30 s');
        }
        $times = [];
        for ($number = 0; $number < self::FIRES; $number++) {
            usleep(random_int(...self::GAP));
            $this->connection->push(Handler::class, hrtime(true), $this->queue);
            $nanoseconds = fgets($read);
            $times[] = $nanoseconds === false ? throw new \RuntimeException('a job was not run within 30 s') : (int) $nanoseconds / 1e6;
        }
        return $times;
    }

    /** The child: a worker that writes a line when it is ready, and one for each job. */
    private function reportFires($write): never
    {
        Handler::$report = fn (int $nanoseconds) => fwrite($write, "$nanoseconds\n");
        $worker = $this->worker(['max_time' => 300]);
        $worker->on('ready', fn () => fwrite($write, "ready\n"));
        $worker->run();
        posix_kill(posix_getpid(), SIGKILL);
        exit;
    }

    /** @param array<string, mixed> $options */
    private function worker(array $options): Worker
    {
        return new Worker($options + ['connection' => $this->connection->getName(), 'queue' => $this->queue, 'log' => 'none', 'status' => 0]);
    }

    /** @param \Closure(): int $step returns how many jobs it pushed */
    private function rate(\Closure $step): float
    {
        $pushed = 0;
        $begun = hrtime(true);
        do {
            $pushed += $step();
            $took = (hrtime(true) - $begun) / 1e9;
        } while ($pushed < $this->jobs && $took < $this->seconds);
        return $pushed / $took;
    }

    /** Removes what is left in the queue. */
    public function clear(): void
    {
        $this->connection->clear($this->queue);
    }
}
