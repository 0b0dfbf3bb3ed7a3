<?php

declare(strict_types=1);

namespace Ferry\Think;

/** think-queue's own driver, where the extension is missing. */
final class Fallback
{
    private static bool $isSaid = false;

    /** @param array<string, mixed> $config of the connection */
    public static function connector(array $config): \think\queue\Connector
    {
        $driver = self::driver($config);
        $class = 'think\\queue\\connector\\' . ucfirst($driver);
        if (!class_exists($class)) {
            throw new \RuntimeException("the extension ferry is not loaded, and think-queue has no driver `$driver` to take its place: load the extension, or use `'type' => 'sync'` here");
        }
        self::say($driver);
        return method_exists($class, '__make') ? Framework\ThinkPhp8::app()->invokeClass($class, [$config]) : new $class($config);
    }

    /** Where the jobs of a connection are, in think-queue's words. */
    public static function driver(array $config): string
    {
        $scheme = strtolower((string) strstr((string) ($config['url'] ?? ''), ':', true));
        $driver = strtolower((string) ($config['driver'] ?? '')) ?: $scheme ?: (isset($config['table']) ? 'database' : 'redis');
        return match ($driver) {
            'mysql', 'mariadb', 'pgsql', 'postgres', 'postgresql', 'sqlite' => 'database',
            'rediss', 'redis+unix' => 'redis',
            default => $driver,
        };
    }

    /** Once in a process; where requests are served, in PHP's log. */
    private static function say(string $driver): void
    {
        if (self::$isSaid) {
            return;
        }
        self::$isSaid = true;
        $text = "ferry: the extension is not loaded; think-queue's own driver `$driver` is used instead";
        PHP_SAPI === 'cli' ? fwrite(STDERR, "$text\n") : error_log($text);
    }
}
