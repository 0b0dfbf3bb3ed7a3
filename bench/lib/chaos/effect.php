<?php

// The job: its effect is one line in its process's own file, written before the job is settled. A line at its start tells a job that was
// buried from one that was never started.

declare(strict_types=1);

namespace Bench;

class Effect
{
    /** @var resource */
    public static $book;
    public static int $longest = 0;

    public function __construct(private int $number)
    {
    }

    public function handle(): void
    {
        // One write(2) each: a line is there or not, also when the process is killed.
        fwrite(self::$book, "+$this->number\n");
        usleep(mt_rand(0, self::$longest));
        fwrite(self::$book, "$this->number " . microtime(true) . "\n");
    }

    public function number(): int
    {
        return $this->number;
    }
}

/** The same with one try: buried when its worker dies while it runs, and never before it was started. */
final class SingleTry extends Effect
{
    public int $tries = 1;
}
