<?php

declare(strict_types=1);

namespace Ferry\Console;

/** What people want to know of a payload, for display only: nothing here decides about a job. */
final class Payload
{
    /** The name of its handler, the class of an object job or of a plain Redis task; empty when the payload cannot be read. */
    public static function job(string $payload): string
    {
        $decoded = json_decode($payload, true);
        $job = is_array($decoded) ? $decoded['job'] ?? $decoded['class'] ?? '' : '';
        if (!is_string($job)) {
            return '';
        }
        $carried = is_array($decoded['data'] ?? null) ? $decoded['data']['commandName'] ?? null : null;
        return is_string($carried) && preg_match('/(^|\\\\)CallQueuedHandler(@|$)/i', $job) ? $carried : $job;
    }

    /** The class of its handler, or of the object job, without a method. */
    public static function className(string $payload): string
    {
        return ltrim(explode('@', self::job($payload))[0], '\\');
    }

    /** Whether it is of a class, as `retryFailed(['class' => ...])` decides it. */
    public static function isOf(string $payload, string $class): bool
    {
        return strtolower(self::className($payload)) === strtolower(ltrim($class, '\\'));
    }
}
