<?php

// A RabbitMQ node of our own: its own name, ports, folder and port mapper, ended by their process ids.

declare(strict_types=1);

namespace Bench;

final class RabbitServer
{
    private function __construct(public readonly int $port, public readonly int $pid, private $node, private $mapper, private string $dir)
    {
    }

    /** The script that needs no user of its own; null when RabbitMQ is not installed. */
    public static function program(): ?string
    {
        $found = glob('/usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server') ?: [];
        return end($found) ?: null;
    }

    public static function start(string $dir, bool $bound): self
    {
        $program = self::program() ?? throw new \RuntimeException('rabbitmq-server is not installed');
        $port = self::three_free_ports();
        mkdir("$dir/home", 0700, true);
        file_put_contents("$dir/plugins", "[].\n");
        file_put_contents("$dir/rabbit.conf", "loopback_users = none\n");
        file_put_contents("$dir/home/.erlang.cookie", 'FERRYBENCH');
        chmod("$dir/home/.erlang.cookie", 0400);
        $log = ['file', "$dir/log", 'a'];
        $mapper = proc_open(['epmd', '-port', (string) ($port + 2), '-address', '127.0.0.1'], [1 => $log, 2 => $log], $pipes);
        $command = placed($bound, [$program]);
        $node = proc_open($command, [0 => ['file', '/dev/null', 'r'], 1 => $log, 2 => $log], $pipes, null, self::environment($dir, $port) + getenv());
        if ($mapper === false || $node === false) {
            throw new \RuntimeException('cannot start rabbitmq-server');
        }
        $server = new self($port, proc_get_status($node)['pid'], $node, $mapper, $dir);
        try {
            wait_until(fn () => self::listens($dir), 'rabbitmq-server to listen', 120);
        } catch (\RuntimeException $e) {
            $server->stop();
            throw $e;
        }
        return $server;
    }

    public function stop(): void
    {
        foreach ([$this->node, $this->mapper] as $process) {
            proc_terminate($process, 9);
            proc_close($process);
        }
        remove_directory($this->dir);
    }

    /** So that the start script becomes the Erlang machine, and its id is the one to end. */
    private static function environment(string $dir, int $port): array
    {
        return [
            'HOME' => "$dir/home",
            'ERL_EPMD_PORT' => (string) ($port + 2),
            'ERL_EPMD_ADDRESS' => '127.0.0.1',
            'RABBITMQ_NODENAME' => "bench$port@localhost",
            'RABBITMQ_NODE_IP_ADDRESS' => '127.0.0.1',
            'RABBITMQ_NODE_PORT' => (string) $port,
            'RABBITMQ_DIST_PORT' => (string) ($port + 1),
            'RABBITMQ_MNESIA_BASE' => "$dir/mnesia",
            'RABBITMQ_LOG_BASE' => $dir,
            'RABBITMQ_LOGS' => "$dir/node.log",
            'RABBITMQ_PID_FILE' => "$dir/pid",
            'RABBITMQ_ALLOW_INPUT' => '1',
            'RABBITMQ_SERVER_START_ARGS' => '-noinput',
            'RABBITMQ_ENABLED_PLUGINS_FILE' => "$dir/plugins",
            'RABBITMQ_CONFIG_FILE' => "$dir/rabbit",
            'RABBITMQ_GENERATED_CONFIG_DIR' => "$dir/generated",
        ];
    }

    private static function listens(string $dir): bool
    {
        return str_contains((string) @file_get_contents("$dir/node.log"), 'Server startup complete');
    }

    /** For AMQP, for other nodes, for the port mapper. */
    private static function three_free_ports(): int
    {
        while (true) {
            $port = random_int(20_000, 32_000);
            $held = array_map(fn ($port) => @stream_socket_server("tcp://127.0.0.1:$port"), [$port, $port + 1, $port + 2]);
            if (!in_array(false, $held, true)) {
                array_map('fclose', $held);
                return $port;
            }
        }
    }
}
