<?php

// A MariaDB server of our own on a free TCP port of the loopback. It does not wait for the disk, unless BENCH_FLUSH is set.

declare(strict_types=1);

namespace Bench;

require_once __DIR__ . '/server_process.php';

final class MariaDbServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private ServerProcess $process, private string $dir)
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
        run_once('mariadb-install-db', $make);
        $port = free_port();
        $flush = getenv('BENCH_FLUSH') ? ['--innodb-flush-log-at-trx-commit=1'] : ['--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync'];
        $command = ['/usr/sbin/mariadbd', ...$own, ...$flush, '--bind-address=127.0.0.1', "--port=$port", "--socket=$dir/sock", '--skip-name-resolve',
            '--skip-log-bin', '--performance-schema=0', '--innodb-buffer-pool-size=512M', '--innodb-log-file-size=256M'];
        $socket = "mysql:unix_socket=$dir/sock";
        $process = ServerProcess::start('mariadbd', $command, $bound, "$dir.log", fn () => connects($socket, 'root'));
        (new \PDO($socket, 'root'))->exec("CREATE DATABASE bench CHARACTER SET utf8mb4; CREATE USER bench@'%'; GRANT ALL ON *.* TO bench@'%'");
        return new self($port, $process->pid, $process, $dir);
    }

    public function stop(): void
    {
        $this->process->stop(SIGKILL);
        @unlink("$this->dir.log");
        exec('rm -rf ' . escapeshellarg($this->dir));
    }
}
