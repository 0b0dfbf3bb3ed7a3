<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Console\Text;

/**
 * The output of a master: its own lines, in the format of its workers, and the lines of its workers. Nothing here waits for a reader.
 * Notices go to standard output, warnings to standard error.
 */
final class Log
{
    private const LEVELS = ['debug' => 0, 'info' => 1, 'notice' => 2, 'warning' => 3, 'error' => 4];

    /** How long the last lines may take at the end. */
    private const DRAIN = 1.0;

    /** @var array<int, OutputStream> by descriptor */
    private array $streams;
    private int $discarded = 0;

    /** @param string $format `plain`, `json` or `none` (with which warnings are still written, as a worker does) */
    public function __construct(private string $format, private string $level)
    {
        $this->streams = [1 => new OutputStream(STDOUT), 2 => new OutputStream(STDERR)];
    }

    public function notice(string $text): void
    {
        $this->log('notice', $text);
    }

    public function warning(string $text): void
    {
        $this->log('warning', $text);
    }

    /** Lines of a child, to the descriptor that it wrote them to. */
    public function pass(int $descriptor, string $lines): void
    {
        $this->streams[$descriptor]->write($lines);
    }

    /** Writes what readers take now. */
    public function flush(): void
    {
        array_map(fn (OutputStream $stream) => $stream->flush(), $this->streams);
    }

    /** @return list<resource> streams with something that waits to be written */
    public function pending(): array
    {
        return array_merge(...array_map(fn (OutputStream $stream) => $stream->pending(), array_values($this->streams)));
    }

    /** @return list<int> descriptors whose reader does not keep up: no more is read from children for them */
    public function full(): array
    {
        return array_keys(array_filter($this->streams, fn (OutputStream $stream) => $stream->isFull()));
    }

    /** Whether the reader of standard output is gone. */
    public function isClosed(): bool
    {
        return $this->streams[1]->isClosed();
    }

    /** When workers exit, their last lines must not keep them waiting for a reader. */
    public function discardExcess(): void
    {
        $this->discarded += array_sum(array_map(fn (OutputStream $stream) => $stream->discardExcess(), $this->streams));
    }

    /** The last lines. */
    public function close(): void
    {
        if ($this->discarded > 0) {
            $this->warning("$this->discarded bytes of output were discarded: nothing read them");
        }
        array_map(fn (OutputStream $stream) => $stream->drain(self::DRAIN), $this->streams);
    }

    private function log(string $level, string $text): void
    {
        $isWarning = self::LEVELS[$level] >= self::LEVELS['warning'];
        $isWanted = self::LEVELS[$level] >= (self::LEVELS[$this->level] ?? 1) && $this->format !== 'none';
        if ($isWanted || $isWarning) {
            $this->pass($isWarning ? 2 : 1, $this->line($level, $text));
        }
    }

    private function line(string $level, string $text): string
    {
        return $this->format === 'json'
            ? Text::json(['time' => date('c'), 'level' => $level, 'event' => 'master', 'message' => Text::clean($text), 'pid' => getmypid()]) . "\n"
            : sprintf("[%s] ferry: %s\n", date('Y-m-d H:i:s'), Text::clean($text));
    }
}
