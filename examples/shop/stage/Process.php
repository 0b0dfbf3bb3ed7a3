<?php

namespace Shop\Stage;

use RuntimeException;

/** A program that belongs to the run: it is ended by its own pid, and the kernel ends it when the run is killed. */
final class Process
{
    private const PATIENCE = 60;
    private ?int $code = null;

    /** @param resource $process */
    private function __construct(public readonly string $name, public readonly int $pid, private $process, private string $log)
    {
    }

    /**
     * Starts a program; what it prints goes to `<folder>/logs/<name>.log`.
     *
     * @param list<string> $command
     * @param array<string, string> $environment beside that of the run
     * @param string $when_orphaned the signal it gets when the run is gone
     */
    public static function start(string $folder, string $name, array $command, array $environment = [], string $when_orphaned = 'KILL'): self
    {
        $log = "$folder/logs/$name.log";
        $streams = [['file', '/dev/null', 'r'], ['file', $log, 'a'], ['file', $log, 'a']];
        // setpriv becomes the program, so the pid is the program's.
        $process = proc_open(['setpriv', '--pdeathsig', $when_orphaned, ...$command], $streams, $pipes, null, $environment + getenv());
        if ($process === false) {
            throw new RuntimeException("$name cannot be started");
        }
        return new self($name, proc_get_status($process)['pid'], $process, $log);
    }

    public function isRunning(): bool
    {
        if ($this->code !== null) {
            return false;
        }
        $status = proc_get_status($this->process);
        if (!$status['running']) {
            // PHP tells the code once.
            $this->code = $status['signaled'] ? 128 + $status['termsig'] : $status['exitcode'];
        }
        return $status['running'];
    }

    public function signal(int $signal): void
    {
        $this->isRunning() && posix_kill($this->pid, $signal);
    }

    /** Waits for its end and answers the exit code, 128 + n after a signal. */
    public function wait(float $seconds = self::PATIENCE): int
    {
        Wait::until(fn () => !$this->isRunning(), "{$this->name} ends", $seconds, fn () => $this->log());
        return $this->code;
    }

    /** Asks it to end, and makes it end when it does not. */
    public function stop(): int
    {
        $this->signal(SIGTERM);
        try {
            return $this->wait();
        } catch (RuntimeException) {
            return $this->kill();
        }
    }

    public function kill(): int
    {
        $this->signal(SIGKILL);
        return $this->wait();
    }

    public function log(): string
    {
        return (string) @file_get_contents($this->log);
    }
}
