<?php

declare(strict_types=1);

namespace Ferry\Console;

use Ferry\Connection;

/** Reads the failed jobs of queues. */
final class FailedJobs
{
    private const PAGE = 100;

    /** The newest so many are looked at for the names of their classes. */
    private const SAMPLE = 1000;

    /**
     * All that meet the conditions, oldest first, as `retryFailed()` takes them. They are read before the first one is returned, so what
     * the caller does to them does not shift the pages.
     *
     * @param array<string, mixed> $conditions
     * @return list<array<string, mixed>>
     */
    public static function matching(Connection $connection, string $queue, array $conditions): array
    {
        $found = [];
        for ($offset = 0; $page = $connection->failed($queue, self::PAGE, $offset); $offset += self::PAGE) {
            array_push($found, ...array_filter($page, fn ($job) => self::meets($job, $conditions)));
        }
        return array_reverse($found);
    }

    /**
     * The classes of the newest failed jobs.
     *
     * @param list<string> $queues
     * @return list<string>
     */
    public static function classes(Connection $connection, array $queues): array
    {
        $jobs = array_merge(...array_map(fn ($queue) => $connection->failed($queue, self::SAMPLE), $queues));
        $classes = array_map(fn ($job) => Payload::className($job['payload']), $jobs);
        return array_values(array_filter(array_unique($classes)));
    }

    /** @param array<string, mixed> $job @param array<string, mixed> $conditions */
    public static function meets(array $job, array $conditions): bool
    {
        return (!isset($conditions['before']) || $job['failed_at'] < $conditions['before'])
            && (!isset($conditions['after']) || $job['failed_at'] >= $conditions['after'])
            && (!isset($conditions['job']) || $job['job_id'] === $conditions['job'])
            && (!isset($conditions['connection']) || $job['connection'] === $conditions['connection'])
            && (!isset($conditions['class']) || Payload::isOf($job['payload'], $conditions['class']));
    }

    /** The id that push returned, where the store knows the job by another; else empty. @param array<string, mixed> $job */
    public static function pushedAs(array $job): string
    {
        return $job['job_id'] === $job['id'] ? '' : (string) $job['job_id'];
    }

    /**
     * A record for JSON.
     *
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     */
    public static function record(array $job): array
    {
        $payload = $job['payload'];
        unset($job['payload']);
        return $job + ['job' => Payload::job($payload)] + Text::payload($payload);
    }
}
