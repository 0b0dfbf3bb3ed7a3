<?php

declare(strict_types=1);

namespace Ferry\Console;

/**
 * The file of `ferry.spool`, line by line. Requests append to it meanwhile; a line that is stored is marked where it lies, so that neither a
 * replay that was killed nor the next one stores it again. docs/decisions/0016-buffered-push.md describes the format.
 */
final class SpoolFile
{
    /** In place of the brace that a line starts with. */
    private const STORED = '-';

    /** @var resource */
    private $file;
    /** Held as long as this object lives. @var resource|null */
    private $lock = null;
    /** Where the line begins that was read last. */
    private int $start = 0;
    private int $next = 0;
    /** How many lines were read. */
    private int $number = 0;

    public function __construct(private string $path)
    {
        $file = is_file($path) ? @fopen($path, 'r+b') : false;
        if ($file === false) {
            throw new Refusal(is_file($path) ? "$path cannot be opened for reading and writing" : "there is no file $path (Ferry makes it with the first job that it must keep)");
        }
        $this->file = $file;
    }

    /** Keeps other replays out. Requests that append are not held up. */
    public function claim(): void
    {
        $name = $this->path . '.lock';
        $mask = umask(0o077);
        $lock = @fopen($name, 'cb');
        umask($mask);
        if ($lock === false) {
            throw new Refusal("$name cannot be written");
        }
        if (!flock($lock, LOCK_EX | LOCK_NB)) {
            throw new Refusal("another `ferry spool` is at work on $this->path");
        }
        $this->lock = $lock;
    }

    /**
     * The lines that are not stored yet, by their number. What is appended meanwhile is read too.
     *
     * @return iterable<int, SpooledJob|null> null: a line that cannot be read
     */
    public function jobs(): iterable
    {
        while (($line = $this->read()) !== null) {
            if (trim($line) !== '' && $line[0] !== self::STORED) {
                yield $this->number => SpooledJob::of($line);
            }
        }
    }

    /** Marks the job that was read last as stored. */
    public function mark(): void
    {
        if (fseek($this->file, $this->start) !== 0 || fwrite($this->file, self::STORED) !== 1 || !fflush($this->file)) {
            throw new Refusal("line $this->number of $this->path was stored but cannot be marked (a further replay would store it again)");
        }
    }

    /** Empties the file when nothing was appended since the last line. Answers whether it did. */
    public function clear(): bool
    {
        flock($this->file, LOCK_EX);
        try {
            $isRead = (fstat($this->file)['size'] ?? 0) === $this->next;
            return $isRead && ftruncate($this->file, 0);
        } finally {
            flock($this->file, LOCK_UN);
        }
    }

    private function read(): ?string
    {
        fseek($this->file, $this->next);
        // Beside a request that appends there would be a part of a line to read.
        flock($this->file, LOCK_SH);
        $line = fgets($this->file);
        flock($this->file, LOCK_UN);
        if ($line === false) {
            return null;
        }
        $this->start = $this->next;
        $this->next += strlen($line);
        $this->number++;
        return $line;
    }
}
