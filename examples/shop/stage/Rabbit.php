<?php

namespace Shop\Stage;

use RuntimeException;

/** A RabbitMQ node of our own: its own name, ports, folder and port mapper; other nodes of the machine do not notice it. */
final class Rabbit
{
    private const TRIES = 5;

    private function __construct(private string $folder, private int $port, private Process $mapper, private Process $node)
    {
    }

    public static function start(string $folder): self
    {
        for ($try = 1; $try <= self::TRIES; $try++) {
            $rabbit = self::launch("$folder/rabbit-$try", $folder, Ports::three());
            if ($rabbit->isReady()) {
                return $rabbit;
            }
            // Somebody else was faster to take one of the ports.
            $rabbit->stop();
        }
        throw new RuntimeException('rabbitmq-server ended before it was ready: ' . substr($rabbit->node->log(), -2000));
    }

    public function url(): string
    {
        return "amqp://guest:guest@127.0.0.1:{$this->port}/";
    }

    /** @return array<string, int> how many messages lie in each queue, or are held by a worker */
    public function messages(): array
    {
        return $this->queues('messages');
    }

    /** @return array<string, int> how many workers listen to each queue */
    public function consumers(): array
    {
        return $this->queues('consumers');
    }

    /** @return array<string, int> a number of each queue */
    private function queues(string $column): array
    {
        $command = [self::program('rabbitmqctl'), '--quiet', 'list_queues', 'name', $column, '--no-table-headers'];
        // It empties the file that its standard error is, so it gets one of its own.
        $streams = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', "{$this->folder}/ctl.log", 'w']];
        $process = proc_open($command, $streams, $pipes, null, self::environment($this->folder, $this->port) + getenv());
        $told = stream_get_contents($pipes[1]);
        if (proc_close($process) !== 0) {
            throw new RuntimeException("rabbitmqctl list_queues: $told" . file_get_contents("{$this->folder}/ctl.log"));
        }
        preg_match_all('/^(\S+)\s+(\d+)$/m', $told, $found);
        return array_map(intval(...), array_combine($found[1], $found[2]));
    }

    public function stop(): void
    {
        $this->node->stop();
        $this->mapper->stop();
    }

    private static function launch(string $folder, string $run, int $port): self
    {
        mkdir("$folder/home", 0700, true);
        file_put_contents("$folder/plugins", "[].\n");
        file_put_contents("$folder/rabbit.conf", "loopback_users = none\n");
        file_put_contents("$folder/home/.erlang.cookie", bin2hex(random_bytes(10)));
        chmod("$folder/home/.erlang.cookie", 0400);
        $environment = self::environment($folder, $port);
        $mapper = Process::start($run, 'epmd', ['epmd', '-address', '127.0.0.1', '-port', (string) ($port + 2)], $environment);
        return new self($folder, $port, $mapper, Process::start($run, 'rabbitmq', [self::program('rabbitmq-server')], $environment));
    }

    private function isReady(): bool
    {
        $ready = fn () => str_contains((string) @file_get_contents("{$this->folder}/log/node.log"), 'Server startup complete');
        Wait::until(fn () => !$this->node->isRunning() || $ready(), 'RabbitMQ is up', 120, fn () => $this->node->log());
        return $this->node->isRunning();
    }

    /** The scripts that need no user of their own, beside those that want to be root. */
    private static function program(string $name): string
    {
        $found = glob("/usr/lib/rabbitmq/lib/*/sbin/$name");
        return end($found) ?: throw new RuntimeException("there is no $name; Debian: apt-get install rabbitmq-server");
    }

    /** @return array<string, string> */
    private static function environment(string $folder, int $port): array
    {
        return [
            'HOME' => "$folder/home",
            'ERL_EPMD_PORT' => (string) ($port + 2),
            'ERL_EPMD_ADDRESS' => '127.0.0.1',
            'RABBITMQ_NODENAME' => "shop$port@localhost",
            'RABBITMQ_NODE_IP_ADDRESS' => '127.0.0.1',
            'RABBITMQ_NODE_PORT' => (string) $port,
            'RABBITMQ_DIST_PORT' => (string) ($port + 1),
            'RABBITMQ_MNESIA_BASE' => "$folder/mnesia",
            'RABBITMQ_LOG_BASE' => "$folder/log",
            'RABBITMQ_LOGS' => "$folder/log/node.log",
            'RABBITMQ_PID_FILE' => "$folder/unused",
            // So that the start script becomes the Erlang machine, and its pid is the one to end.
            'RABBITMQ_ALLOW_INPUT' => '1',
            'RABBITMQ_SERVER_START_ARGS' => '-noinput',
            'RABBITMQ_ENABLED_PLUGINS_FILE' => "$folder/plugins",
            'RABBITMQ_CONFIG_FILE' => "$folder/rabbit",
            'RABBITMQ_GENERATED_CONFIG_DIR' => "$folder/generated",
            'RABBITMQ_ADVANCED_CONFIG_FILE' => "$folder/advanced",
        ];
    }
}
