<?php

// A Redis that keeps what it has acknowledged (`appendfsync always`) and can be restarted on its port.

declare(strict_types=1);

namespace Bench;

final class DurableRedis implements Faults
{
    /** @var list<array{string, float, float}> */
    private array $log = [];

    private function __construct(public readonly int $port, private string $dir, private $process = null)
    {
        $this->launch();
    }

    public static function start(string $dir): self
    {
        mkdir($dir, 0700);
        $listener = stream_socket_server('tcp://127.0.0.1:0');
        $port = (int) substr(strrchr(stream_socket_get_name($listener, false), ':'), 1);
        fclose($listener);
        return new self($port, $dir);
    }

    public function url(): string
    {
        return "redis://127.0.0.1:$this->port?retry_after=" . Plan::RETRY_AFTER;
    }

    /** Ends it and starts it again. */
    public function begin(string $fault): void
    {
        $since = microtime(true);
        $this->end($fault === 'kill' ? SIGKILL : SIGTERM);
        $this->launch();
        $this->log[] = [$fault, $since, microtime(true)];
    }

    public function poll(): bool
    {
        return true;
    }

    public function log(): array
    {
        return $this->log;
    }

    public function stop(): void
    {
        $this->end(SIGKILL);
    }

    private function end(int $signal): void
    {
        proc_terminate($this->process, $signal);
        wait_until(fn () => !proc_get_status($this->process)['running'], 'redis-server to leave', 20);
        proc_close($this->process);
    }

    private function launch(): void
    {
        $options = ['--port', (string) $this->port, '--bind', '127.0.0.1', '--dir', $this->dir, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
        $log = ['file', "$this->dir/log", 'a'];
        $this->process = proc_open(['setpriv', '--pdeathsig', 'KILL', 'redis-server', ...$options], [['file', '/dev/null', 'r'], $log, $log], $pipes);
        if ($this->process === false) {
            throw new \RuntimeException('cannot start redis-server');
        }
        wait_until(fn () => $this->answers(), 'redis-server to have read its file', 30);
    }

    /** While it reads its file it listens already and answers -LOADING. */
    private function answers(): bool
    {
        $link = @stream_socket_client("tcp://127.0.0.1:$this->port", timeout: 1);
        if ($link === false) {
            return false;
        }
        fwrite($link, "PING\r\n");
        return fgets($link) === "+PONG\r\n";
    }
}
