<?php
// A MariaDB server of the test's own: on a free port and a socket, in a temporary folder, gone with the test.

require_once __DIR__ . '/child.php';

final class MariaDbServer
{
    private function __construct(public readonly int $port, public readonly string $socket, private Child $process)
    {
    }

    /** @param list<string> $options */
    public static function start(array $options = []): self
    {
        $folder = sys_get_temp_dir() . '/ferry-mariadb-' . getmypid() . '-' . bin2hex(random_bytes(4));
        at_the_end(fn () => exec('rm -rf ' . escapeshellarg($folder)));
        // A server that starts removes the temporary tables of all others from a folder that it shares with them.
        mkdir("$folder/tmp", 0700, true);
        $user = posix_getpwuid(posix_geteuid())['name'];
        exec("mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --user=$user --datadir=$folder/data --tmpdir=$folder/tmp 2>&1", $out, $code);
        if ($code !== 0) {
            throw new RuntimeException("mariadb-install-db: " . implode("\n", $out));
        }
        // Somebody may take the port between our look and the server's start; then another one is tried.
        for ($try = 0; $try < 20; $try++) {
            $listener = stream_socket_server('tcp://127.0.0.1:0');
            $port = (int) substr(strrchr(stream_socket_get_name($listener, false), ':'), 1);
            fclose($listener);
            $own = ['--no-defaults', '--bind-address=127.0.0.1', "--port=$port", "--socket=$folder/sock", "--datadir=$folder/data", "--user=$user", "--tmpdir=$folder/tmp",
                '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync', '--innodb-doublewrite=0',
                '--innodb-buffer-pool-size=64M', '--innodb-log-file-size=16M', '--performance-schema=0'];
            $server = new self($port, "$folder/sock", Child::start(['mariadbd', ...$own, ...$options], temp_dir() . "/mariadb-$port"));
            if ($server->isUp()) {
                $server->pdo(null)->exec("CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE USER ferry@'%' IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO ferry@'%'");
                return $server;
            }
        }
        throw new RuntimeException('mariadbd does not start');
    }

    private function isUp(): bool
    {
        $up = false;
        wait_until(function () use (&$up) {
            if (!$this->process->isRunning()) {
                return true;
            }
            try {
                $this->pdo(null);
                return $up = true;
            } catch (PDOException) {
                return false;
            }
        }, 'mariadbd answers', 60);
        return $up;
    }

    /** The settings of a Ferry connection to it, as config/queue.php has them. */
    public function config(array $more = []): array
    {
        return $more + ['type' => 'database', 'driver' => 'mysql', 'hostname' => '127.0.0.1', 'hostport' => (string) $this->port,
            'username' => 'ferry', 'password' => 'secret', 'database' => 'shop', 'charset' => 'utf8mb4'];
    }

    public function dsn(string $query = ''): string
    {
        return "mysql://ferry:secret@127.0.0.1:{$this->port}/shop" . ($query === '' ? '' : "?$query");
    }

    /** Creates what `ferry schema` prints. */
    public function createTables(array $config = []): void
    {
        array_map($this->pdo()->exec(...), (new Ferry\Connection($this->config($config)))->schema());
    }

    /** A client that knows nothing of Ferry. */
    public function pdo(?string $database = 'shop'): PDO
    {
        return new PDO("mysql:unix_socket={$this->socket}" . ($database === null ? '' : ";dbname=$database"), 'root', '', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    }
}
