<?php

// The process of a server of our own, and what starting one takes.

declare(strict_types=1);

namespace Bench;

final class ServerProcess
{
    private function __construct(public readonly int $pid, private $process)
    {
    }

    /** Starts a command and waits until it answers; its output goes to $log. taskset and setpriv replace themselves by the server, so the id is its own. */
    public static function start(string $name, array $command, bool $bound, string $log, callable $answers): self
    {
        $file = ['file', $log, 'w'];
        $process = proc_open(placed($bound, $command), [1 => $file, 2 => $file], $pipes) ?: throw new \RuntimeException("cannot start $name");
        $server = new self(proc_get_status($process)['pid'], $process);
        try {
            wait_until($answers, "$name to answer", 60);
        } catch (\RuntimeException $e) {
            $server->stop(SIGKILL);
            throw $e;
        }
        return $server;
    }

    public function stop(int $signal = SIGTERM): void
    {
        proc_terminate($this->process, $signal);
        proc_close($this->process);
    }
}

/** Whether a connection can be opened. */
function connects(string $dsn, string $user): bool
{
    try {
        new \PDO($dsn, $user);
        return true;
    } catch (\PDOException) {
        return false;
    }
}

/** Runs a command to its end. */
function run_once(string $name, array $command): void
{
    exec(implode(' ', array_map('escapeshellarg', $command)) . ' 2>&1', $said, $code);
    if ($code !== 0) {
        throw new \RuntimeException("$name: " . implode("\n", $said));
    }
}

function free_port(): int
{
    $listener = stream_socket_server('tcp://127.0.0.1:0');
    $name = stream_socket_get_name($listener, false);
    fclose($listener);
    return (int) substr($name, strrpos($name, ':') + 1);
}
