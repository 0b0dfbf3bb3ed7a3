<?php
// A RabbitMQ node of the test's own: its own name, ports, folder and port mapper, gone with the test.

require_once __DIR__ . '/child.php';

final class AmqpServer
{
    private function __construct(public readonly int $port, private Child $node)
    {
    }

    /** Where rabbitmq-server and its tools are, without the wrapper that wants a user of its own. */
    public static function tools(): ?string
    {
        $found = glob('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin');
        return $found === false || $found === [] ? null : end($found);
    }

    public static function start(): self
    {
        // Somebody may take a port between our look and the node's start; then others are tried.
        for ($try = 0; $try < 5; $try++) {
            $port = self::freePorts();
            $folder = temp_dir() . "/amqp-$port";
            mkdir("$folder/home", 0o700, true);
            at_the_end(fn () => shell_exec('rm -rf ' . escapeshellarg($folder)));
            file_put_contents("$folder/plugins", "[].\n");
            file_put_contents("$folder/rabbit.conf", "loopback_users = none\n");
            file_put_contents("$folder/home/.erlang.cookie", 'FERRYPHPTESTS');
            chmod("$folder/home/.erlang.cookie", 0o400);
            $env = [
                'HOME' => "$folder/home", 'ERL_EPMD_PORT' => (string) ($port + 2), 'ERL_EPMD_ADDRESS' => '127.0.0.1',
                'RABBITMQ_NODENAME' => "ferry$port@localhost", 'RABBITMQ_NODE_IP_ADDRESS' => '127.0.0.1',
                'RABBITMQ_NODE_PORT' => (string) $port, 'RABBITMQ_DIST_PORT' => (string) ($port + 1),
                'RABBITMQ_MNESIA_BASE' => "$folder/mnesia", 'RABBITMQ_LOG_BASE' => "$folder/log", 'RABBITMQ_LOGS' => "$folder/log/node.log",
                'RABBITMQ_PID_FILE' => "$folder/unused", 'RABBITMQ_ENABLED_PLUGINS_FILE' => "$folder/plugins",
                'RABBITMQ_CONFIG_FILE' => "$folder/rabbit", 'RABBITMQ_GENERATED_CONFIG_DIR' => "$folder/generated",
                'RABBITMQ_ADVANCED_CONFIG_FILE' => "$folder/advanced",
                // So that the start script becomes the Erlang machine.
                'RABBITMQ_ALLOW_INPUT' => '1', 'RABBITMQ_SERVER_START_ARGS' => '-noinput',
            ];
            Child::start(['epmd', '-address', '127.0.0.1', '-port', (string) ($port + 2)], "$folder/epmd");
            $server = new self($port, Child::start([self::tools() . '/rabbitmq-server'], "$folder/node", $env));
            if ($server->isUp("$folder/log/node.log")) {
                return $server;
            }
        }
        throw new RuntimeException('rabbitmq-server does not start');
    }

    /** A free port with two free ones behind it. */
    private static function freePorts(): int
    {
        do {
            $socket = stream_socket_server('tcp://127.0.0.1:0');
            $port = (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
            $next = @stream_socket_server('tcp://127.0.0.1:' . $port + 1);
            $last = @stream_socket_server('tcp://127.0.0.1:' . $port + 2);
        } while ($next === false || $last === false);
        return $port;
    }

    private function isUp(string $log): bool
    {
        $up = false;
        wait_until(function () use ($log, &$up) {
            $up = is_file($log) && str_contains(file_get_contents($log), 'Server startup complete');
            return $up || !$this->node->isRunning();
        }, 'rabbitmq-server is up', 90);
        return $up;
    }

    /** The settings of a Ferry connection to it. */
    public function config(array $more = []): array
    {
        return $more + ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => $this->port];
    }
}
