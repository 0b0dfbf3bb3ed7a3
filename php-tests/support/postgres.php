<?php
// A PostgreSQL server of the test's own: on a free port, in a temporary folder, gone with the test.

require_once __DIR__ . '/child.php';

final class PostgresServer
{
    private function __construct(public readonly int $port, private Child $process)
    {
    }

    /** @param list<string> $settings of postgresql.conf, for example `fsync=on` */
    public static function start(array $settings = []): self
    {
        $binaries = self::binaries() ?? throw new RuntimeException('PostgreSQL is not installed');
        $folder = temp_dir() . '/postgres-' . bin2hex(random_bytes(3));
        mkdir($folder);
        at_the_end(fn () => exec('rm -rf ' . escapeshellarg($folder)));
        // It refuses to run as root, which containers are.
        $as_server = posix_geteuid() === 0 ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', '--pdeathsig', 'QUIT'] : [];
        if ($as_server !== []) {
            chmod(temp_dir(), 0755);
            chown($folder, 'postgres');
        }
        $make = [...$as_server, "$binaries/initdb", '--no-sync', '--auth=trust', '--encoding=UTF8', '--locale=C', '-U', 'postgres', '-D', "$folder/data"];
        exec(implode(' ', array_map('escapeshellarg', $make)) . ' 2>&1', $said, $code);
        if ($code !== 0) {
            throw new RuntimeException('initdb: ' . implode("\n", $said));
        }
        for ($try = 0; $try < 5; $try++) {
            $port = self::freePort();
            $own = ['-D', "$folder/data", '-k', $folder, '-h', '127.0.0.1', '-p', (string) $port];
            $options = array_merge(...array_map(fn ($one) => ['-c', $one], ['fsync=off', 'autovacuum=off', ...$settings]));
            $server = new self($port, Child::start([...$as_server, "$binaries/postgres", ...$own, ...$options], "$folder-$port"));
            if ($server->isUp()) {
                at_the_end(fn () => $server->stop());
                return $server;
            }
        }
        throw new RuntimeException('postgres does not start');
    }

    public static function binaries(): ?string
    {
        $found = glob('/usr/lib/postgresql/*/bin') ?: [];
        natsort($found);
        return array_pop($found);
    }

    public function dsn(string $query = ''): string
    {
        return "postgres://postgres@127.0.0.1:{$this->port}/postgres" . ($query === '' ? '' : "?$query");
    }

    /** A client that knows nothing of Ferry. */
    public function client(): PDO
    {
        return new PDO("pgsql:host=127.0.0.1;port={$this->port};dbname=postgres", 'postgres', null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    }

    /** Runs what `ferry schema` prints for a connection. */
    public function create(Ferry\Connection $connection): void
    {
        array_map($this->client()->exec(...), $connection->schema());
    }

    public function stop(): void
    {
        if ($this->process->isRunning()) {
            $this->process->signal(SIGQUIT);
            $this->process->wait();
        }
    }

    private static function freePort(): int
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        return (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
    }

    private function isUp(): bool
    {
        $up = false;
        wait_until(function () use (&$up) {
            if (!$this->process->isRunning()) {
                return true;
            }
            try {
                $this->client();
                return $up = true;
            } catch (PDOException) {
                return false;
            }
        }, 'postgres answers', 60);
        return $up;
    }
}
