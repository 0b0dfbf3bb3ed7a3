<?php

declare(strict_types=1);

namespace Ferry\Console\Doctor;

use Ferry\Console\Text;

/** Checks of a SQLite file. Pure functions of its facts; a fact that could not be read is not judged. */
final class SqliteChecks
{
    /** File systems on which locks or shared memory do not work between machines. */
    private const REMOTE = ['nfs', 'nfs4', 'cifs', 'smb', 'smb2', 'smbfs', '9p', 'afs', 'ceph', 'glusterfs', 'fuse.sshfs', 'fuse.glusterfs'];

    /** @param array<string, mixed> $facts @return list<Finding> */
    public static function all(array $facts): array
    {
        return array_values(array_filter([
            self::version($facts['version'] ?? null),
            self::filesystem($facts['filesystem'] ?? null),
            self::journal($facts['journal_mode'] ?? null),
            self::synchronous($facts['synchronous'] ?? null),
            self::patience($facts['busy_timeout'] ?? null),
            self::space($facts['page_count'] ?? null, $facts['freelist'] ?? null, $facts['page_size'] ?? null),
            self::disk($facts['disk_free'] ?? null),
        ]));
    }

    public static function version(?string $version): ?Finding
    {
        return $version === null ? null : Finding::ok('SQLite version', $version);
    }

    public static function filesystem(?string $name): ?Finding
    {
        return match (true) {
            $name === null => null,
            in_array(strtolower($name), self::REMOTE, true) => Finding::bad(
                'File system',
                "the file is on $name, where locks are not reliable: the file will be corrupted sooner or later",
                'Move it to a local disk, or use Redis.',
            ),
            default => Finding::ok('File system', $name),
        };
    }

    public static function journal(?string $mode): ?Finding
    {
        return match (true) {
            $mode === null => null,
            strtolower($mode) === 'wal' => Finding::ok('Journal', 'WAL: readers and writers do not wait for each other'),
            default => Finding::warn(
                'Journal',
                "$mode instead of WAL: readers and writers wait for each other",
                'Find out what changed it (`PRAGMA journal_mode`), or whether the file system supports WAL.',
            ),
        };
    }

    public static function synchronous(?string $level): ?Finding
    {
        return match ($level) {
            null => null,
            'off' => Finding::bad('Synchronous', 'off: a power failure may corrupt the file', 'Do not set `PRAGMA synchronous=OFF`.'),
            'normal' => Finding::ok('Synchronous', 'normal: a power failure may lose the last commits; the file stays intact'),
            default => Finding::ok('Synchronous', "$level: commits survive a power failure"),
        };
    }

    public static function patience(?float $seconds): ?Finding
    {
        $text = sprintf('a write waits up to %g s for others', $seconds ?? 0);
        return match (true) {
            $seconds === null => null,
            $seconds < 1 => Finding::warn(
                'Busy timeout',
                "$text, then it fails",
                'Raise `busy_timeout` of the connection; 10 s is the default.',
            ),
            default => Finding::ok('Busy timeout', $text),
        };
    }

    public static function space(?int $pages, ?int $free, ?int $size): ?Finding
    {
        if ($pages === null || $free === null) {
            return null;
        }
        $text = $size === null ? "$pages pages, $free of them free" : sprintf(
            '%s, %s of it free',
            Text::bytes($pages * $size),
            Text::bytes($free * $size),
        );
        return $pages > 10_000 && $free > $pages / 2
            ? Finding::warn('File', "$text: it used to be much larger", 'Run VACUUM while no worker runs, if the space is needed.')
            : Finding::ok('File', $text);
    }

    public static function disk(?int $bytes): ?Finding
    {
        $text = Text::bytes($bytes ?? 0) . ' left';
        return match (true) {
            $bytes === null => null,
            $bytes < 10 << 20 => Finding::bad('Disk', "$text: pushes and deletions are about to fail", 'Free disk space.'),
            $bytes < 500 << 20 => Finding::warn('Disk', "$text: when it is full, pushes and deletions fail", 'Free disk space.'),
            default => Finding::ok('Disk', $text),
        };
    }
}
