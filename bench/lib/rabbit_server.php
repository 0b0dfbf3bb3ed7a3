<?php

// A RabbitMQ node of our own: its own name, ports, folder and port mapper, ended by their process ids.

declare(strict_types=1);

namespace Bench;

final class RabbitServer
{
    /** The process of the node. */
    public int $pid = 0;
    private $node = null;

    private function __construct(public readonly int $port, private $mapper, private string $dir, private bool $bound)
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
        $port = self::three_free_ports();
        mkdir("$dir/home", 0700, true);
        file_put_contents("$dir/plugins", "[].\n");
        file_put_contents("$dir/rabbit.conf", "loopback_users = none\n");
        file_put_contents("$dir/home/.erlang.cookie", 'FERRYBENCH');
        chmod("$dir/home/.erlang.cookie", 0400);
        $log = ['file', "$dir/log", 'a'];
        $mapper = proc_open(['epmd', '-port', (string) ($port + 2), '-address', '127.0.0.1'], [1 => $log, 2 => $log], $pipes);
        $server = new self($port, $mapper, $dir, $bound);
        try {
            $server->launch();
        } catch (\RuntimeException $e) {
            $server->stop();
            throw $e;
        }
        return $server;
    }

    /** Ends the node with this signal and starts it again, on the same port and files. */
    public function restart(int $signal): void
    {
        proc_terminate($this->node, $signal);
        wait_until(fn () => !proc_get_status($this->node)['running'], 'rabbitmq-server to leave', 120);
        proc_close($this->node);
        $this->launch();
    }

    /** Begins a command of rabbitmqctl; its process is the caller's to close. */
    public function control(string ...$arguments)
    {
        $log = ['file', "$this->dir/ctl.log", 'a'];
        $command = [dirname(self::program() ?? '') . '/rabbitmqctl', ...$arguments];
        $process = proc_open($command, [0 => ['file', '/dev/null', 'r'], 1 => $log, 2 => $log], $pipes, null, self::environment($this->dir, $this->port) + getenv());
        return $process ?: throw new \RuntimeException('cannot start rabbitmqctl');
    }

    private function launch(): void
    {
        $program = self::program() ?? throw new \RuntimeException('rabbitmq-server is not installed');
        $starts = $this->starts();
        $log = ['file', "$this->dir/log", 'a'];
        $environment = self::environment($this->dir, $this->port) + getenv();
        $node = proc_open(placed($this->bound, [$program]), [0 => ['file', '/dev/null', 'r'], 1 => $log, 2 => $log], $pipes, null, $environment);
        $this->node = $node ?: throw new \RuntimeException('cannot start rabbitmq-server');
        $this->pid = proc_get_status($node)['pid'];
        wait_until(fn () => $this->starts() > $starts, 'rabbitmq-server to listen', 120);
    }

    public function stop(): void
    {
        foreach (array_filter([$this->node, $this->mapper]) as $process) {
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

    /** How often it came up. */
    private function starts(): int
    {
        return substr_count((string) @file_get_contents("$this->dir/node.log"), 'Server startup complete');
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
