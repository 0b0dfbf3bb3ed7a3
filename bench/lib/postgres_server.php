<?php

// A PostgreSQL server of our own on a free TCP port of the loopback. It does not wait for the disk, unless BENCH_FLUSH is set.

declare(strict_types=1);

namespace Bench;

final class PostgresServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private $process, private string $dir)
    {
    }

    public static function start(string $dir, bool $bound): self
    {
        mkdir($dir, 0755);
        chmod(dirname($dir), 0755);
        $binaries = glob('/usr/lib/postgresql/*/bin') ?: throw new \RuntimeException('PostgreSQL is not installed');
        natsort($binaries);
        $binaries = end($binaries);
        // It refuses to run as root, which containers are.
        $as_server = posix_geteuid() === 0 ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'] : [];
        $as_server === [] || chown($dir, 'postgres');
        $make = [...$as_server, "$binaries/initdb", '--no-sync', '--auth=trust', '--encoding=UTF8', '--locale=C', '-U', 'postgres', '-D', "$dir/data"];
        exec(implode(' ', array_map('escapeshellarg', $make)) . ' 2>&1', $said, $code);
        if ($code !== 0) {
            throw new \RuntimeException('initdb: ' . implode("\n", $said));
        }
        $port = self::free_port();
        $flush = getenv('BENCH_FLUSH') ? 'on' : 'off';
        $command = [...$as_server, "$binaries/postgres", '-D', "$dir/data", '-k', $dir, '-h', '127.0.0.1', '-p', (string) $port, '-c', "fsync=$flush"];
        $log = ['file', "$dir.log", 'w'];
        $process = proc_open(placed($bound, $command), [1 => $log, 2 => $log], $pipes);
        if ($process === false) {
            throw new \RuntimeException('cannot start postgres');
        }
        // taskset and setpriv replace themselves by the server, so this is the server's own id.
        $server = new self($port, proc_get_status($process)['pid'], $process, $dir);
        try {
            wait_until($server->answers(...), 'postgres to answer', 60);
        } catch (\RuntimeException $e) {
            $server->stop();
            throw $e;
        }
        return $server;
    }

    public function stop(): void
    {
        proc_terminate($this->process, SIGINT);
        proc_close($this->process);
        @unlink("$this->dir.log");
        exec('rm -rf ' . escapeshellarg($this->dir));
    }

    private function answers(): bool
    {
        try {
            new \PDO("pgsql:host=127.0.0.1;port=$this->port;dbname=postgres", 'postgres');
            return true;
        } catch (\PDOException) {
            return false;
        }
    }

    private static function free_port(): int
    {
        $listener = stream_socket_server('tcp://127.0.0.1:0');
        $name = stream_socket_get_name($listener, false);
        fclose($listener);
        return (int) substr($name, strrpos($name, ':') + 1);
    }
}
