<?php

declare(strict_types=1);

namespace Ferry\Console;

use Ferry\Connection;

/** Walks through the failed jobs of a queue. */
final class FailedJobs
{
    private const PAGE = 100;

    /**
     * All that meet the conditions, oldest first, as `retryFailed()` takes them. They are read before the first is handed out, so what the
     * caller does to them does not shift the pages.
     *
     * @param array{class?: string, before?: int, after?: int} $conditions
     * @return list<array<string, mixed>>
     */
    public static function matching(Connection $connection, ?string $queue, array $conditions): array
    {
        $found = [];
        for ($offset = 0; $page = $connection->failed($queue, self::PAGE, $offset); $offset += self::PAGE) {
            array_push($found, ...array_filter($page, fn ($job) => self::meets($job, $conditions)));
        }
        return array_reverse($found);
    }

    /** @param array<string, mixed> $job @param array{class?: string, before?: int, after?: int} $conditions */
    public static function meets(array $job, array $conditions): bool
    {
        return (!isset($conditions['before']) || $job['failed_at'] < $conditions['before'])
            && (!isset($conditions['after']) || $job['failed_at'] >= $conditions['after'])
            && (!isset($conditions['class']) || Payload::isOf($job['payload'], $conditions['class']));
    }

    /**
     * A record for a machine.
     *
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     */
    public static function record(array $job): array
    {
        $payload = $job['payload'];
        unset($job['payload']);
        $job['exception'] = mb_scrub($job['exception'], 'UTF-8');
        return $job + ['job' => mb_scrub(Payload::job($payload), 'UTF-8')] + Text::payload($payload);
    }
}
