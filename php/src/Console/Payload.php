<?php

declare(strict_types=1);

namespace Ferry\Console;

/** What people want to know of a payload, for showing only: nothing here decides about a job. */
final class Payload
{
    /** The name of its handler, that of the class for an object job; empty for poison. */
    public static function job(string $payload): string
    {
        $decoded = json_decode($payload, true);
        $job = is_array($decoded) ? $decoded['job'] ?? '' : '';
        if (!is_string($job)) {
            return '';
        }
        $carried = is_array($decoded['data'] ?? null) ? $decoded['data']['commandName'] ?? null : null;
        return is_string($carried) && preg_match('/(^|\\\\)CallQueuedHandler(@|$)/i', $job) ? $carried : $job;
    }

    /** Whether it is of a class, as `retryFailed(['class' => ...])` has it. */
    public static function isOf(string $payload, string $class): bool
    {
        $plain = fn (string $name) => strtolower(ltrim($name, '\\'));
        return $plain(explode('@', self::job($payload))[0]) === $plain($class);
    }
}
