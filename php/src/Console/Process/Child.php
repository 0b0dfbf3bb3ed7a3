<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Console\Refusal;

/**
 * One worker process. Beside its output and errors there is a third pipe, with lines `name=number`: `ready` when the broker answered it for
 * the first time, `paused`, `over` when its work is done, and the counter `stop` of all workers.
 */
final class Child
{
    public const CONTROL = 3;

    public readonly int $pid;
    public readonly float $started;
    /** Whether it was told to exit. */
    public bool $leaving = false;
    /** Whether it was told to pause. */
    public bool $paused = false;
    public bool $killed = false;
    /** @var array<string, int> what it reported through the third pipe */
    public array $reports = [];

    /** @var array<int, resource> by descriptor of the child */
    private array $streams;
    /** @var array<int, LineBuffer> */
    private array $buffers;
    private ?int $code = null;
    private ?int $signal = null;
    /** When it reported that its work was over. */
    private ?float $doneAt = null;

    /** @param resource $process @param array<int, resource> $streams @param \Closure(int, string): void $print descriptor, whole lines */
    private function __construct(private $process, array $streams, public readonly int $generation, private \Closure $print, bool $paused)
    {
        $this->paused = $paused;
        $this->pid = proc_get_status($process)['pid'];
        $this->started = microtime(true);
        $this->streams = $streams;
        array_map(fn ($stream) => stream_set_blocking($stream, false), $streams);
        $this->buffers = array_map(fn () => new LineBuffer(), $streams);
    }

    /**
     * @param list<string> $command
     * @param array<string, string> $environment
     * @param \Closure(int, string): void $print
     * @throws Refusal with the reason and what to do
     */
    public static function start(array $command, string $directory, array $environment, int $generation, \Closure $print, bool $paused): self
    {
        $pipe = ['pipe', 'w'];
        $descriptors = [['file', '/dev/null', 'r'], $pipe, $pipe, self::CONTROL => $pipe];
        $streams = [];
        $warning = null;
        $process = Quietly::run(function () use ($command, $descriptors, &$streams, $directory, $environment) {
            return proc_open($command, $descriptors, $streams, $directory, $environment);
        }, $warning);
        return is_resource($process) ? new self($process, $streams, $generation, $print, $paused) : throw new Refusal(self::startFailure((string) $warning));
    }

    /** @param string $warning of proc_open(); PHP tells the cause nowhere else */
    public static function startFailure(string $warning): string
    {
        $cause = trim((string) preg_replace('/^proc_open\(\):\s*/', '', $warning));
        return match (true) {
            str_contains($cause, 'Too many open files') => "$cause (raise `ulimit -n`; systemd: LimitNOFILE)",
            str_contains($cause, 'Resource temporarily unavailable') => "$cause (too many processes: raise `ulimit -u`; systemd: TasksMax)",
            str_contains($cause, 'Cannot allocate memory') => "$cause (start fewer processes, or add memory)",
            default => $cause === '' ? 'proc_open() failed without a reason' : $cause,
        };
    }

    /** @param list<int> $except descriptors @return array<int, resource> what may be readable */
    public function streams(array $except = []): array
    {
        return array_diff_key($this->streams, array_flip($except));
    }

    /** Reads what is there. @param list<int> $except descriptors that are left alone */
    public function read(array $except = []): void
    {
        foreach ($this->streams($except) as $descriptor => $stream) {
            while (is_string($bytes = Quietly::run(fn () => fread($stream, 1 << 16))) && $bytes !== '') {
                $this->take($descriptor, $this->buffers[$descriptor]->add($bytes));
            }
            if (feof($stream)) {
                $this->close($descriptor);
            }
        }
    }

    private function take(int $descriptor, string $lines): void
    {
        if ($lines === '') {
            return;
        }
        if ($descriptor !== self::CONTROL) {
            ($this->print)($descriptor, $lines);
            return;
        }
        foreach (explode("\n", trim($lines)) as $line) {
            [$name, $value] = explode('=', $line, 2) + [1 => '0'];
            $this->reports[$name] = (int) $value;
        }
        $this->doneAt ??= isset($this->reports['over']) ? microtime(true) : null;
    }

    /** Whether the broker has answered it, or all of its queues are paused. */
    public function isReady(): bool
    {
        return isset($this->reports['ready']);
    }

    /** Whether it has not exited although its work has been over for this long. */
    public function isDoneSince(float $seconds): bool
    {
        return $this->doneAt !== null && microtime(true) - $this->doneAt >= $seconds;
    }

    private function close(int $descriptor): void
    {
        $this->take($descriptor, $this->buffers[$descriptor]->rest());
        fclose($this->streams[$descriptor]);
        unset($this->streams[$descriptor]);
    }

    /** Its exit code once it has ended, 128 + n after signal n. Its last output has been passed on by then. */
    public function code(): ?int
    {
        if ($this->code !== null) {
            return $this->code;
        }
        $status = proc_get_status($this->process);
        if ($status['running']) {
            return null;
        }
        // PHP returns the code once. Another process may hold its pipes: what is there is read, their end is not waited for.
        return $this->ended($status['exitcode'], $status['signaled'] ? $status['termsig'] : null);
    }

    /** Notes its end. @param int|null $signal what ended it */
    public function ended(int $code, ?int $signal): int
    {
        $this->signal = $signal;
        $this->code = $signal === null ? $code : 128 + $signal;
        $this->read();
        array_map(fn ($descriptor) => $this->close($descriptor), array_keys($this->streams));
        return $this->code;
    }

    /** For a log line. A code above 128 is a signal only where the kernel says so: PHP itself ends with 255 after a fatal error. */
    public function ending(): string
    {
        return $this->signal === null ? "ended with exit code $this->code" : "was ended by signal $this->signal";
    }

    public function lived(): float
    {
        return microtime(true) - $this->started;
    }

    public function signal(int $signal): void
    {
        if ($this->code === null) {
            proc_terminate($this->process, $signal);
        }
    }

    public function terminate(): void
    {
        $this->leaving = true;
        $this->signal(Signals::TERM);
    }
}
