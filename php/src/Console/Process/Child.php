<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/**
 * One worker process. Beside output and errors a third pipe comes from it, with lines `name=number`: `ready` when the broker answered it for
 * the first time, `paused`, `over` when its work is done, and the fleet's counter `stop`.
 */
final class Child
{
    public const CONTROL = 3;

    public readonly int $pid;
    public readonly float $started;
    /** Whether it was told to leave. */
    public bool $leaving = false;
    /** Whether it was told to pause. */
    public bool $paused = false;
    public bool $killed = false;
    /** @var array<string, int> what it said through `control` */
    public array $said = [];

    /** @var array<int, resource> by descriptor of the child */
    private array $streams;
    /** @var array<int, LineBuffer> */
    private array $buffers;
    private ?int $code = null;
    /** When it said that its work was over. */
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

    /** @param list<string> $command @param array<string, string> $environment @param \Closure(int, string): void $print */
    public static function start(array $command, string $directory, array $environment, int $generation, \Closure $print, bool $paused): ?self
    {
        $pipe = ['pipe', 'w'];
        $descriptors = [['file', '/dev/null', 'r'], $pipe, $pipe, self::CONTROL => $pipe];
        $streams = [];
        $process = Quietly::run(function () use ($command, $descriptors, &$streams, $directory, $environment) {
            return proc_open($command, $descriptors, $streams, $directory, $environment);
        });
        return is_resource($process) ? new self($process, $streams, $generation, $print, $paused) : null;
    }

    /** @return array<int, resource> what may have something to say */
    public function streams(): array
    {
        return $this->streams;
    }

    /** Reads what is there. */
    public function read(): void
    {
        foreach ($this->streams as $descriptor => $stream) {
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
            $this->said[$name] = (int) $value;
        }
        $this->doneAt ??= isset($this->said['over']) ? microtime(true) : null;
    }

    /** Whether the broker answered it, or all of its queues are paused. */
    public function isReady(): bool
    {
        return isset($this->said['ready']);
    }

    /** Whether its work is over for so long, and it is still there. */
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

    /** Its exit code once it has ended, 128 + n after signal n. What it said last has been passed on by then. */
    public function code(): ?int
    {
        if ($this->code !== null) {
            return $this->code;
        }
        $status = proc_get_status($this->process);
        if ($status['running']) {
            return null;
        }
        // PHP tells the code once. Somebody else may hold its pipes: what is there is read, their end is not waited for.
        return $this->ended($status['signaled'] ? 128 + $status['termsig'] : $status['exitcode']);
    }

    /** It has ended, whoever saw it. */
    public function ended(int $code): int
    {
        $this->code = $code;
        $this->read();
        array_map(fn ($descriptor) => $this->close($descriptor), array_keys($this->streams));
        return $code;
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

    public function leave(): void
    {
        $this->leaving = true;
        $this->signal(Signals::TERM);
    }
}
