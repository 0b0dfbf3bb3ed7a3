<?php

// A Redis server of our own on a free TCP port of the loopback and a Unix socket, without persistence.

declare(strict_types=1);

namespace Bench;

require_once __DIR__ . '/server_process.php';

final class RedisServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private ServerProcess $process, private string $dir)
    {
    }

    public static function start(string $dir, bool $bound): self
    {
        mkdir($dir, 0700);
        $port = free_port();
        $command = ['redis-server', '--port', (string) $port, '--bind', '127.0.0.1', '--unixsocket', "$dir/redis.sock", '--save', '', '--appendonly', 'no', '--dir', $dir];
        $process = ServerProcess::start('redis-server', $command, $bound, "$dir/log", fn () => @fsockopen('127.0.0.1', $port) !== false);
        return new self($port, $process->pid, $process, $dir);
    }

    public function stop(): void
    {
        $this->process->stop();
        remove_directory($this->dir);
    }
}
