<?php

// The job: its effect is one line in its process's own file, written before the job is settled.

declare(strict_types=1);

namespace Bench;

final class Effect
{
    /** @var resource */
    public static $book;
    public static int $longest = 0;

    public function __construct(private int $number)
    {
    }

    public function handle(): void
    {
        usleep(mt_rand(0, self::$longest));
        // One write(2): a line is there or not, also when the process is killed.
        fwrite(self::$book, "$this->number\n");
    }
}
