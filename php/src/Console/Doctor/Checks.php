<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

use Ferry\Console\Text;
use Ferry\Think\Extension;

/** Checks of any connection, of its workers and of this PHP. Pure functions. */
final class Checks
{
    /** think-queue's default for `retry_after` and `--timeout`. */
    public const THINK_DEFAULT = 60;

    /** A worker reports every second, on SQLite every five. */
    private const SILENT = 30;

    /** @param string $version of the extension; this library needs one of an age */
    public static function extension(string $version): Finding
    {
        $problem = Extension::problem($version);
        return $problem === null ? Finding::ok('Ferry', $version) : Finding::bad('Ferry', $problem, 'Install the extension and ferry/php of one release.');
    }

    public static function clock(?float $skew): ?Finding
    {
        $text = sprintf('the broker is %s by %.1f s', ($skew ?? 0) > 0 ? 'ahead' : 'behind', abs($skew ?? 0));
        $change = 'Run a time service (chrony, systemd-timesyncd) on all machines.';
        return match (true) {
            $skew === null => null,
            abs($skew) > 30 => Finding::bad(
                'Clocks',
                "$text: workers of think-queue, which use their own clock, take jobs too early or too late",
                $change,
            ),
            abs($skew) > 1 => Finding::warn('Clocks', "$text; Ferry uses the broker's clock, other programs their own", $change),
            default => Finding::ok('Clocks', sprintf('this machine and the broker agree within %.1f s', max(0.1, abs($skew)))),
        };
    }

    /** @param list<string> $notices what the extension says of the configuration: keys that it ignores, connections that cannot be used @return list<Finding> */
    public static function configuration(array $notices): array
    {
        return array_map(fn ($notice) => Finding::note('Configuration', $notice), $notices);
    }

    /**
     * @param int|string $retry_after seconds, or `never`
     * @param float $timeout of our workers, 0 for none
     * @return list<Finding>
     */
    public static function leases(int|string $retry_after, float $timeout): array
    {
        $lease = match (true) {
            $retry_after === 'never' => Finding::warn(
                'retry_after',
                'never: jobs of a dead worker stay reserved forever',
                'Set a number of seconds.',
            ),
            $retry_after < 10 => Finding::warn(
                'retry_after',
                "$retry_after s: when the broker is unreachable for this long, a running job is started a second time",
                'Set 30 s or more.',
            ),
            $retry_after > 3600 => Finding::warn(
                'retry_after',
                sprintf('%s: jobs of a dead worker become available again only after this time', Text::span($retry_after)),
                'Set it to the longest acceptable delay. Long jobs do not need it: Ferry renews the lease while they run.',
            ),
            default => Finding::ok('retry_after', "$retry_after s: jobs of a dead worker become available again after this time"),
        };
        $job = $timeout > 0
            ? Finding::ok('Timeout', sprintf('%g s; the lease is renewed while a job runs, so it may be longer than retry_after', $timeout))
            : Finding::warn(
                'Timeout',
                'none: a hanging job blocks its worker forever, and its lease is renewed for --max-lease',
                'Set --timeout to the longest time that a job may take.',
            );
        return [$lease, $job];
    }

    /**
     * What a payload may bring to life.
     *
     * @param mixed $allowed `allowed_classes` of the workers, null when they have none
     * @param bool $strict whether they run only what `handlers` names
     */
    public static function objectJobs(mixed $allowed, bool $strict): Finding
    {
        return match (true) {
            $allowed === null && !$strict => Finding::note(
                'Object jobs',
                'any class: who can write to the broker can make workers create objects of any class that they can load',
                'Set allowed_classes (`work --allowed-classes=CLASS`) to the classes of your object jobs, or handlers with strict; `doctor` takes both options too.',
            ),
            is_array($allowed) => Finding::ok('Object jobs', Text::count(count($allowed), 'class', 'classes') . ' allowed'),
            default => Finding::ok('Object jobs', 'only handlers that are named'),
        };
    }

    /**
     * Workers of think-queue on the same queues. They do not renew leases, and on a shared table each side applies its own `retry_after` to the
     * jobs of the other.
     *
     * @return list<Finding>
     */
    public static function oldWorkers(int|string $retry_after, int $old_retry_after, int $old_timeout, string $driver): array
    {
        $findings = [$old_timeout === 0 || $old_timeout >= $old_retry_after
            ? Finding::bad(
                'Old workers',
                sprintf('think-queue does not renew leases: with --timeout=%s and retry_after %d s a job that takes longer than %2$d s is started a second time', $old_timeout ?: '0 (none)', $old_retry_after),
                "Set their retry_after above their --timeout, by some seconds: the default of both is " . self::THINK_DEFAULT . ' s.',
            )
            : Finding::ok('Old workers', "their --timeout ($old_timeout s) is below their retry_after ($old_retry_after s)")];
        if (in_array($driver, ['sqlite', 'mysql', 'postgres'], true) && is_int($retry_after)) {
            $findings[] = self::sharedTable($retry_after, $old_retry_after, $old_timeout);
        }
        return $findings;
    }

    private static function sharedTable(int $ours, int $theirs, int $old_timeout): Finding
    {
        return match (true) {
            $ours <= $old_timeout => Finding::bad(
                'Shared table',
                "Ferry takes over the jobs of old workers after $ours s, and these may run for $old_timeout s",
                "Set retry_after of this connection to that of the old workers ($theirs s).",
            ),
            intdiv($ours, 3) >= $theirs => Finding::bad(
                'Shared table',
                sprintf('Ferry renews leases every %d s, and old workers take over jobs that were not renewed for %d s', intdiv($ours, 3), $theirs),
                "Set retry_after of this connection to that of the old workers ($theirs s).",
            ),
            default => Finding::ok('Shared table', "retry_after $ours s and $theirs s are compatible"),
        };
    }

    /**
     * @param array{ready: int, delayed: ?int, reserved: ?int, failed: int} $stats of one queue
     * @param list<array<string, mixed>>|null $workers null where they are not known
     * @param array<string, int> $paused
     * @return list<Finding>
     */
    public static function queue(string $name, array $stats, ?array $workers, array $paused, int $now): array
    {
        $topic = 'Queue ' . Text::clean($name);
        $told = array_filter(['ready' => $stats['ready'], 'delayed' => $stats['delayed'], 'reserved' => $stats['reserved'], 'failed' => $stats['failed']], fn ($count) => $count !== null);
        $counts = implode(', ', array_map(fn ($state) => "$told[$state] $state", array_keys($told)));
        $working = $workers === null ? null : count(array_filter($workers, fn ($worker) => in_array($name, $worker['queues'], true)));
        $findings = [match (true) {
            isset($paused[$name]) => Finding::warn(
                $topic,
                "$counts; paused since " . Text::moment($paused[$name]),
                'To end the pause: `ferry resume ' . Text::clean($name) . '`.',
            ),
            $stats['ready'] > 0 && $working === 0 => Finding::warn(
                $topic,
                "$counts; no Ferry worker works this queue",
                'Start `ferry work`. Workers of think-queue do not report.',
            ),
            default => Finding::ok($topic, $counts),
        }];
        if ($stats['failed'] > 0) {
            $findings[] = Finding::warn(
                $topic,
                Text::count($stats['failed'], 'failed job'),
                'List them with `ferry failed`, then use `ferry retry` or `ferry forget`.',
            );
        }
        return $findings;
    }

    /** @param list<array<string, mixed>>|null $workers */
    public static function workers(?array $workers, int $now): Finding
    {
        if ($workers === null) {
            return Finding::warn(
                'Workers',
                'unknown: this broker cannot store reports and flags, so `pause`, `restart` and `stop` do not work and `monitor` shows no workers',
                'Set `control` of the connection to a connection of Redis or a database.',
            );
        }
        $silent = array_filter($workers, fn ($worker) => $now - $worker['seen'] > self::SILENT);
        $text = Text::count(count($workers), 'worker');
        return $silent === []
            ? Finding::ok(
                'Workers',
                $workers === [] ? 'none reported within the last minute' : "$text, all of them reported within " . self::SILENT . ' s',
            )
            : Finding::warn(
                'Workers',
                sprintf('%s, %d without a report for %d s: killed, hanging in a job, or disconnected', $text, count($silent), self::SILENT),
                'Check these processes: ' . Text::clean(implode(', ', array_column($silent, 'id'))) . '.',
            );
    }

    /**
     * @param array{version: string, pcntl: bool, posix: bool, proc_open: bool, memory_limit: int, files: ?int} $php
     * @return list<Finding>
     */
    public static function php(array $php): array
    {
        return [
            Finding::ok('PHP', $php['version']),
            $php['pcntl']
                ? Finding::ok('pcntl', 'available: the master of `work --processes` and `listen` handles signals')
                : Finding::warn(
                    'pcntl',
                    'missing: the master of `work --processes` and `listen` cannot handle signals; workers can',
                    'Install or enable pcntl.',
                ),
            $php['proc_open']
                ? Finding::ok('proc_open', 'available')
                : Finding::bad(
                    'proc_open',
                    'disabled: `work --processes` and `listen` cannot start processes',
                    'Remove it from `disable_functions` in the php.ini of the command line.',
                ),
            match (true) {
                $php['memory_limit'] <= 0 => Finding::ok('memory_limit', 'none; --memory makes workers exit before they grow too large'),
                $php['memory_limit'] < 64 << 20 => Finding::warn(
                    'memory_limit',
                    Text::bytes($php['memory_limit']) . ': a job that needs more ends its worker with 13',
                    'Raise it for the command line, and set --memory below it.',
                ),
                default => Finding::ok(
                    'memory_limit',
                    Text::bytes($php['memory_limit']) . '; set --memory below it, so that workers exit before jobs reach it',
                ),
            },
            ...($php['files'] !== null && $php['files'] < 256 ? [Finding::warn(
                'Open files',
                "$php[files] allowed: connections and log files may need more",
                'Raise `ulimit -n` (systemd: LimitNOFILE).',
            )] : []),
        ];
    }
}
