<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/**
 * Writes to standard output or standard error without waiting for the reader: a master that blocks in a write handles no signal.
 *
 * The descriptor stays blocking, because other processes may share it. What poll() calls writable takes at least one piece.
 */
final class OutputStream
{
    private const PIECE = 4096;

    /** Above this the master stops reading the output of its children, which then wait as they would without a master. */
    private const FULL = 1 << 20;

    private const BROKEN_PIPE = 'errno=32';
    private const INTERRUPTED = '[4]';

    private string $waiting = '';
    /** The reader is gone. */
    private bool $isClosed = false;
    /** There is nothing to write to: the process was started without this descriptor. */
    private bool $isMissing = false;

    /** @param resource $stream */
    public function __construct(private $stream)
    {
    }

    public function write(string $bytes): void
    {
        $this->waiting .= $bytes;
        $this->flush();
    }

    /** Writes what the reader takes now, and returns whether it took anything. */
    public function flush(): bool
    {
        $done = 0;
        while (!$this->isClosed && !$this->isMissing && $done < strlen($this->waiting) && $this->isWritable(0)) {
            $written = $this->writePiece(substr($this->waiting, $done, self::PIECE));
            if ($written === 0) {
                break;
            }
            $done += $written;
        }
        $this->waiting = $this->isClosed || $this->isMissing ? '' : substr($this->waiting, $done);
        return $done > 0;
    }

    /** Whole lines where possible. Returns how many bytes need not be written again. */
    private function writePiece(string $piece): int
    {
        $end = strrpos($piece, "\n");
        $piece = $end === false ? $piece : substr($piece, 0, $end + 1);
        $warning = null;
        $written = Quietly::run(fn () => fwrite($this->stream, $piece), $warning);
        if ($written !== false) {
            return $written;
        }
        $this->isClosed = str_contains((string) $warning, self::BROKEN_PIPE);
        // Without a warning a signal came between; with another one (a full disk) these lines are lost, and work goes on.
        return $warning === null ? 0 : strlen($piece);
    }

    private function isWritable(int $micros): bool
    {
        $none = null;
        $streams = [$this->stream];
        $warning = null;
        $ready = Quietly::run(fn () => stream_select($none, $streams, $none, 0, $micros), $warning);
        $this->isMissing = $ready === false && !str_contains((string) $warning, self::INTERRUPTED);
        return $ready === 1;
    }

    /** Before the process exits: waits while the reader takes something, and this long for it to take more. */
    public function drain(float $seconds): void
    {
        $end = microtime(true) + $seconds;
        while ($this->waiting !== '' && microtime(true) < $end) {
            $this->isWritable(50_000);
            $end = $this->flush() ? microtime(true) + $seconds : $end;
        }
    }

    /** Removes what exceeds the limit and returns how much that was. For a process that may not wait for the reader any more. */
    public function discardExcess(): int
    {
        $excess = max(0, strlen($this->waiting) - self::FULL);
        $this->waiting = substr($this->waiting, 0, self::FULL);
        return $excess;
    }

    public function isFull(): bool
    {
        return strlen($this->waiting) >= self::FULL;
    }

    /** Whether the reader is gone. */
    public function isClosed(): bool
    {
        return $this->isClosed;
    }

    /** @return list<resource> the stream, while something waits to be written */
    public function pending(): array
    {
        return $this->waiting === '' ? [] : [$this->stream];
    }
}
