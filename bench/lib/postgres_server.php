<?php

// A PostgreSQL server of our own on a free TCP port of the loopback. It does not wait for the disk, unless BENCH_FLUSH is set.

declare(strict_types=1);

namespace Bench;

require_once __DIR__ . '/server_process.php';

final class PostgresServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private ServerProcess $process, private string $dir)
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
        run_once('initdb', $make);
        $port = free_port();
        $flush = getenv('BENCH_FLUSH') ? 'on' : 'off';
        $command = [...$as_server, "$binaries/postgres", '-D', "$dir/data", '-k', $dir, '-h', '127.0.0.1', '-p', (string) $port, '-c', "fsync=$flush"];
        $dsn = "pgsql:host=127.0.0.1;port=$port;dbname=postgres";
        $process = ServerProcess::start('postgres', $command, $bound, "$dir.log", fn () => connects($dsn, 'postgres'));
        return new self($port, $process->pid, $process, $dir);
    }

    public function stop(): void
    {
        $this->process->stop(SIGINT);
        @unlink("$this->dir.log");
        exec('rm -rf ' . escapeshellarg($this->dir));
    }
}
