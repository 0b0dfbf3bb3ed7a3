<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** What is to be said of a RabbitMQ server. Pure functions of its facts; a fact that could not be read is not judged. */
final class AmqpChecks
{
    /** @param array<string, mixed> $facts @return list<Finding> */
    public static function all(array $facts, float $timeout): array
    {
        return array_values(array_filter([
            self::version($facts['version'] ?? null),
            self::blocked($facts['blocked'] ?? null),
            self::trip($facts['rtt'] ?? null),
            self::heartbeat($facts['heartbeat'] ?? null),
            self::patience($facts['consumer_timeout'] ?? null, $timeout),
            self::tls($facts['tls'] ?? null, $facts['host'] ?? ''),
        ]));
    }

    public static function version(?string $version): ?Finding
    {
        return match (true) {
            $version === null => null,
            version_compare($version, '3.10', '<') => Finding::bad(
                'RabbitMQ version',
                "$version: quorum queues have no message ttl before 3.10, so delays fail",
                'Update the server, or use `queue_type` classic and no delays.',
            ),
            version_compare($version, '4.0', '>=') => Finding::warn(
                'RabbitMQ version',
                "$version was not tried; it drops a message from a quorum queue after 20 deliveries of its own count",
                'Set a policy with delivery-limit -1 for the queues of Ferry, which counts tries itself.',
            ),
            default => Finding::ok('RabbitMQ version', $version),
        };
    }

    public static function blocked(?bool $blocked): ?Finding
    {
        return match ($blocked) {
            null => null,
            true => Finding::bad('Alarm', 'the server blocks publishers: memory or disk is short', 'See `rabbitmq-diagnostics alarms`; let workers drain it, free disk.'),
            false => Finding::ok('Alarm', 'none: publishers are not blocked'),
        };
    }

    public static function trip(?float $seconds): ?Finding
    {
        $text = sprintf('%.1f ms there and back', 1000 * ($seconds ?? 0));
        return match (true) {
            $seconds === null => null,
            $seconds > 0.05 => Finding::warn('Round trip', "$text: each single push waits that long for its confirm", 'Push in batches with `bulk`, or move the server closer.'),
            default => Finding::ok('Round trip', $text),
        };
    }

    public static function heartbeat(?float $seconds): ?Finding
    {
        return match (true) {
            $seconds === null => null,
            $seconds <= 0.0 => Finding::warn('Heartbeat', 'off: a link that died in silence is noticed late', 'Leave `heartbeat` at 60.'),
            default => Finding::ok('Heartbeat', sprintf('%g s, answered natively while PHP is busy', $seconds)),
        };
    }

    public static function patience(?float $limit, float $timeout): ?Finding
    {
        return match (true) {
            $limit === null => null,
            $limit <= 0.0 => Finding::ok('Consumer timeout', 'taken for off, as the configuration says'),
            $timeout <= 0.0 || $timeout > 0.9 * $limit => Finding::bad(
                'Consumer timeout',
                sprintf('the server takes a job away after %g s, and a job may run for %s', $limit, $timeout > 0.0 ? "$timeout s" : 'ever'),
                'Raise `consumer_timeout` in rabbitmq.conf (milliseconds) and on the connection (seconds), or lower --timeout.',
            ),
            default => Finding::ok('Consumer timeout', sprintf('the server takes a job away after %g s; jobs are stopped after %g s', $limit, $timeout)),
        };
    }

    public static function tls(?bool $tls, string $host): ?Finding
    {
        $local = preg_match('/^(localhost|127\.|\[?::1)/', $host) === 1;
        return match (true) {
            $tls === null => null,
            $tls || $local => Finding::ok('Transport', $tls ? 'TLS' : 'plain, on this machine'),
            default => Finding::warn('Transport', "plain to $host: the password and the jobs can be read on the way", 'Use amqps://, unless the network is trusted.'),
        };
    }
}
