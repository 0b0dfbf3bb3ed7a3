<?php

// The handlers of all rows.

declare(strict_types=1);

/** Does nothing but say that it is done. */
final class BenchJob
{
    public static int $done = 0;

    public function fire(object $job, array $data): void
    {
        self::$done++;
        $job->delete();
    }
}

/** Notes how long ago it was pushed. The clock is the machine's, the same in every process. */
final class TimedJob
{
    /** @var list<float> microseconds */
    public static array $took = [];

    public function fire(object $job, array $data): void
    {
        self::$took[] = (hrtime(true) - $data['pushed']) / 1000;
        $job->delete();
        // After the deletion: the producer waits for this before it pushes the next.
        fwrite(STDOUT, '.');
    }
}

/** The same work as a message of symfony/messenger, whose jobs are objects and whose handlers do not delete. */
final class BenchMessage
{
    public function __construct(public array $data)
    {
    }
}

/** Does nothing but say that it is done. */
final class BenchMessageHandler
{
    public function __invoke(BenchMessage $message): void
    {
        BenchJob::$done++;
    }
}
