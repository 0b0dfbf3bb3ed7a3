<?php

// A MariaDB server of our own on a free TCP port of the loopback. It does not wait for the disk, unless BENCH_FLUSH is set.

declare(strict_types=1);

namespace Bench;

final class MariaDbServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private $process, private string $dir)
    {
    }

    public static function start(string $dir, bool $bound): self
    {
        is_file('/usr/sbin/mariadbd') || throw new \RuntimeException('MariaDB is not installed');
        // A server that starts removes the temporary tables of all others from a folder that it shares with them.
        mkdir("$dir/tmp", 0700, true);
        $user = posix_getpwuid(posix_geteuid())['name'];
        $own = ['--no-defaults', "--user=$user", "--datadir=$dir/data", "--tmpdir=$dir/tmp"];
        $make = ['mariadb-install-db', ...$own, '--auth-root-authentication-method=normal', '--skip-test-db'];
        exec(implode(' ', array_map('escapeshellarg', $make)) . ' 2>&1', $said, $code);
        if ($code !== 0) {
            throw new \RuntimeException('mariadb-install-db: ' . implode("\n", $said));
        }
        $port = self::free_port();
        $flush = getenv('BENCH_FLUSH') ? ['--innodb-flush-log-at-trx-commit=1'] : ['--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync'];
        $command = ['/usr/sbin/mariadbd', ...$own, ...$flush, '--bind-address=127.0.0.1', "--port=$port", "--socket=$dir/sock", '--skip-name-resolve',
            '--skip-log-bin', '--performance-schema=0', '--innodb-buffer-pool-size=512M', '--innodb-log-file-size=256M'];
        $log = ['file', "$dir.log", 'w'];
        $process = proc_open(placed($bound, $command), [1 => $log, 2 => $log], $pipes);
        if ($process === false) {
            throw new \RuntimeException('cannot start mariadbd');
        }
        // taskset replaces itself by the server, so this is the server's own id.
        $server = new self($port, proc_get_status($process)['pid'], $process, $dir);
        try {
            wait_until($server->answers(...), 'mariadbd to answer', 60);
            (new \PDO("mysql:unix_socket=$dir/sock", 'root'))->exec("CREATE DATABASE bench CHARACTER SET utf8mb4; CREATE USER bench@'%'; GRANT ALL ON *.* TO bench@'%'");
        } catch (\RuntimeException $e) {
            $server->stop();
            throw $e;
        }
        return $server;
    }

    public function stop(): void
    {
        proc_terminate($this->process, SIGKILL);
        proc_close($this->process);
        @unlink("$this->dir.log");
        exec('rm -rf ' . escapeshellarg($this->dir));
    }

    private function answers(): bool
    {
        try {
            new \PDO("mysql:unix_socket=$this->dir/sock", 'root');
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
