<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

use Ferry\Console\Process\Quietly;
use Ferry\Console\Refusal;

/** Carries TCP connections to a server in a child process, and holds all bytes back for half of a delay each way. */
final class DelayProxy
{
    private function __construct(public readonly int $port, private int $pid)
    {
    }

    /** @param float $delay milliseconds that a round trip takes longer */
    public static function start(string $host, int $port, float $delay): self
    {
        $server = Quietly::run(fn () => stream_socket_server('tcp://127.0.0.1:0', $code, $text, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, self::noDelay()));
        $pid = $server === false ? -1 : pcntl_fork();
        if ($pid === -1) {
            throw new Refusal('the proxy that delays could not be started');
        }
        if ($pid === 0) {
            (new DelayedRelay($server, "tcp://$host:$port", $delay / 2000))->run();
        }
        $name = (string) stream_socket_get_name($server, false);
        fclose($server);
        return new self((int) substr((string) strrchr($name, ':'), 1), $pid);
    }

    /** @return resource a context in which small writes are sent at once */
    public static function noDelay()
    {
        return stream_context_create(['socket' => ['tcp_nodelay' => true]]);
    }

    public function stop(): void
    {
        posix_kill($this->pid, SIGKILL);
        pcntl_waitpid($this->pid, $status);
    }
}
