<?php

// A Redis server of our own on a free TCP port of the loopback, without persistence.

declare(strict_types=1);

namespace Bench;

final class RedisServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private $process, private string $dir)
    {
    }

    public static function start(string $dir, bool $bound): self
    {
        mkdir($dir, 0700);
        $port = self::free_port();
        $command = ['redis-server', '--port', (string) $port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', $dir];
        $log = ['file', "$dir/log", 'w'];
        $process = proc_open(placed($bound, $command), [1 => $log, 2 => $log], $pipes);
        if ($process === false) {
            throw new \RuntimeException('cannot start redis-server');
        }
        // taskset replaces itself by the server, so this is the server's own id.
        $server = new self($port, proc_get_status($process)['pid'], $process, $dir);
        try {
            wait_until(fn () => @fsockopen('127.0.0.1', $port) !== false, 'redis-server to listen');
        } catch (\RuntimeException $e) {
            $server->stop();
            throw $e;
        }
        return $server;
    }

    public function stop(): void
    {
        proc_terminate($this->process);
        proc_close($this->process);
        remove_directory($this->dir);
    }

    private static function free_port(): int
    {
        $listener = stream_socket_server('tcp://127.0.0.1:0');
        $name = stream_socket_get_name($listener, false);
        fclose($listener);
        return (int) substr($name, strrpos($name, ':') + 1);
    }
}
