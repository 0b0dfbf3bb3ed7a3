<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

use Ferry\Job;

/** The handler of `ferry bench`: counts, and reports how long ago its job was pushed. */
final class Handler
{
    public static int $count = 0;
    /** @var (\Closure(int): void)|null takes the nanoseconds from push to fire */
    public static ?\Closure $report = null;

    public function fire(Job $job, mixed $data): void
    {
        if (self::$report !== null) {
            (self::$report)(hrtime(true) - (int) $data);
        }
        $job->delete();
        self::$count++;
    }
}
