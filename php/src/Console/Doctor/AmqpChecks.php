<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

/** Checks of a RabbitMQ server. Pure functions of its facts; a fact that could not be read is not judged. */
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
            self::deadLetters($facts['task_letters'] ?? null, $facts['task_letters_kept'] ?? null, $facts['vhost'] ?? '/'),
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
                "$version was not tested; it drops a message from a quorum queue after 20 deliveries by its own count",
                'Set a policy with delivery-limit -1 for the queues of Ferry, which counts attempts itself.',
            ),
            default => Finding::ok('RabbitMQ version', $version),
        };
    }

    /** RabbitMQ reports an alarm only to connections that publish, and doctor publishes nothing: no report does not mean no alarm. */
    public static function blocked(?bool $blocked): ?Finding
    {
        return match ($blocked) {
            null => null,
            true => Finding::bad('Alarm', 'the server blocks publishers: it is short of memory or disk space', 'Run `rabbitmq-diagnostics alarms`; let workers drain the queues, or free disk space.'),
            false => Finding::note('Alarm', 'unknown: RabbitMQ reports alarms only to connections that publish', 'Run `rabbitmq-diagnostics alarms` on the server.'),
        };
    }

    /**
     * AMQP does not show policies, so this sees whether there is a queue that the printed one can lead to.
     *
     * @param ?int $letters null where no tasks are declared
     * @param ?int $kept null where `task.dlq.kept` is missing
     */
    public static function deadLetters(?int $letters, ?int $kept, string $vhost): ?Finding
    {
        $command = 'ferry schema amqp' . ($vhost === '/' ? '' : " --vhost=$vhost");
        return match (true) {
            $letters === null => null,
            $kept === null => Finding::warn(
                'Dead tasks',
                "task.dlq ($letters) keeps them for 604.8 s only, as the original design declares it, and task.dlq.kept is missing",
                "Run `Ferry\\Task\\Schema::declare()`, which creates it, and the first command that `$command` prints.",
            ),
            default => Finding::ok('Dead tasks', "$letters in task.dlq, $kept in task.dlq.kept, which keeps them for seven days if the policy of `$command` is set"),
        };
    }

    public static function trip(?float $seconds): ?Finding
    {
        $text = sprintf('%.1f ms', 1000 * ($seconds ?? 0));
        return match (true) {
            $seconds === null => null,
            $seconds > 0.05 => Finding::warn('Round trip', "$text: each single push waits this long for its confirm", 'Push in batches with `bulk`, or move the server closer.'),
            default => Finding::ok('Round trip', $text),
        };
    }

    public static function heartbeat(?float $seconds): ?Finding
    {
        return match (true) {
            $seconds === null => null,
            $seconds <= 0.0 => Finding::warn('Heartbeat', 'off: a dead connection is noticed late', 'Leave `heartbeat` at 60.'),
            default => Finding::ok('Heartbeat', sprintf('%g s; also answered while PHP is busy', $seconds)),
        };
    }

    public static function patience(?float $limit, float $timeout): ?Finding
    {
        return match (true) {
            $limit === null => null,
            $limit <= 0.0 => Finding::ok('Consumer timeout', 'off, according to the configuration'),
            $timeout <= 0.0 || $timeout > 0.9 * $limit => Finding::bad(
                'Consumer timeout',
                sprintf('the server redelivers a job after %g s, and a job may run %s', $limit, $timeout > 0.0 ? "for $timeout s" : 'without limit'),
                'Raise `consumer_timeout` in rabbitmq.conf (milliseconds) and on the connection (seconds), or lower --timeout.',
            ),
            default => Finding::ok('Consumer timeout', sprintf('the server redelivers a job after %g s; jobs are stopped after %g s', $limit, $timeout)),
        };
    }

    public static function tls(?bool $tls, string $host): ?Finding
    {
        $local = preg_match('/^(localhost|127\.|\[?::1)/', $host) === 1;
        return match (true) {
            $tls === null => null,
            $tls || $local => Finding::ok('Transport', $tls ? 'TLS' : 'unencrypted, on this machine'),
            default => Finding::warn('Transport', "unencrypted to $host: the password and the jobs can be read on the network", 'Use amqps://, unless the network is trusted.'),
        };
    }
}
