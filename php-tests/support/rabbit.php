<?php
// A RabbitMQ node: one of the test's own, with its own name, ports, folder and port mapper, gone with the test; or a virtual host on the
// node that scripts/test starts for all, because a node takes seconds to start.

require_once __DIR__ . '/child.php';

final class RabbitNode
{
    private function __construct(
        public readonly int $port,
        public readonly string $folder,
        private ?Child $node,
        public readonly string $vhost = '/',
    ) {
    }

    /** For a test that needs nothing but a broker: an empty virtual host on the node that FERRY_TEST_AMQP names, or else a node. */
    public static function shared(): self
    {
        $place = (string) getenv('FERRY_TEST_AMQP');
        if ($place === '') {
            return self::start();
        }
        [$port, $folder] = explode(':', $place, 2);
        $node = new self((int) $port, $folder, null, 'php-' . getmypid() . '-' . bin2hex(random_bytes(4)));
        $all = '<<".*">>';
        $node->ctl('eval', "rabbit_vhost:add(<<\"{$node->vhost}\">>, <<\"guest\">>), "
            . "rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"{$node->vhost}\">>, $all, $all, $all, <<\"guest\">>).");
        return $node;
    }

    /** A node of the test's own, for one that kills or reconfigures it. */
    public static function start(): self
    {
        // Somebody may take a port between our look and the node's start; then others are tried.
        for ($try = 0; $try < 5; $try++) {
            $port = self::threeFreePorts();
            $folder = temp_dir() . "/rabbit-$port";
            self::writeFiles($folder);
            at_the_end(fn () => exec('rm -rf ' . escapeshellarg($folder)));
            $env = self::environment($folder, $port);
            $mapper = Child::start(['epmd', '-address', '127.0.0.1', '-port', (string) ($port + 2)], "$folder/mapper", $env);
            $node = new self($port, $folder, Child::start([self::program('rabbitmq-server')], "$folder/node", $env));
            if ($node->isUp()) {
                return $node;
            }
            $mapper->signal(SIGKILL);
        }
        throw new RuntimeException('rabbitmq-server does not start');
    }

    /** The script that needs no user of its own, beside the one that wants to be root. */
    public static function program(string $name): string
    {
        return (glob("/usr/lib/rabbitmq/lib/*/sbin/$name") ?: [''])[0];
    }

    /** A port with two free ones behind it: for AMQP, for other nodes, for the port mapper. */
    private static function threeFreePorts(): int
    {
        while (true) {
            $first = stream_socket_server('tcp://127.0.0.1:0');
            $port = (int) substr(strrchr(stream_socket_get_name($first, false), ':'), 1);
            $free = fn (int $port) => $port < 65536 && @stream_socket_server("tcp://127.0.0.1:$port") !== false;
            if ($free($port + 1) && $free($port + 2)) {
                return $port;
            }
        }
    }

    private static function writeFiles(string $folder): void
    {
        mkdir("$folder/home", 0777, true);
        file_put_contents("$folder/plugins", "[].\n");
        file_put_contents("$folder/rabbit.conf", "loopback_users = none\n");
        file_put_contents("$folder/home/.erlang.cookie", 'FERRYTESTS');
        chmod("$folder/home/.erlang.cookie", 0400);
    }

    /** @return array<string, string> */
    private static function environment(string $folder, int $port): array
    {
        return [
            'HOME' => "$folder/home",
            'ERL_EPMD_PORT' => (string) ($port + 2),
            'ERL_EPMD_ADDRESS' => '127.0.0.1',
            'RABBITMQ_NODENAME' => "ferry$port@localhost",
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

    private function isUp(): bool
    {
        $log = fn () => (string) @file_get_contents("{$this->folder}/log/node.log");
        wait_until(fn () => !$this->node->isRunning() || str_contains($log(), 'Server startup complete'), 'rabbitmq-server is up', 150);
        return $this->node->isRunning();
    }

    /** Runs `rabbitmqctl` on this node. */
    public function ctl(string ...$arguments): string
    {
        $env = '';
        foreach (self::environment($this->folder, $this->port) as $name => $value) {
            $env .= "$name=" . escapeshellarg($value) . ' ';
        }
        $words = implode(' ', array_map('escapeshellarg', [self::program('rabbitmqctl'), ...$arguments]));
        exec("$env$words 2>&1", $said, $code);
        if ($code !== 0) {
            throw new RuntimeException("rabbitmqctl $words: " . implode("\n", $said));
        }
        return implode("\n", $said);
    }

    /** The settings of a Ferry connection to it. */
    public function config(array $more = []): array
    {
        return $more + ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => $this->port, 'vhost' => $this->vhost];
    }

    public function dsn(string $query = ''): string
    {
        $vhost = $this->vhost === '/' ? '' : $this->vhost;
        return "amqp://guest:guest@127.0.0.1:{$this->port}/$vhost" . ($query === '' ? '' : "?$query");
    }

    /** Ends every connection, as a network that breaks would. */
    public function cutConnections(): void
    {
        $this->ctl('close_all_connections', '--vhost', $this->vhost, 'cut by the test');
    }

    /** A client that knows nothing of Ferry: php-amqplib. */
    public function amqplib(): PhpAmqpLib\Channel\AMQPChannel
    {
        require_once '/usr/share/php/PhpAmqpLib/autoload.php';
        return (new PhpAmqpLib\Connection\AMQPStreamConnection('127.0.0.1', $this->port, 'guest', 'guest', $this->vhost))->channel();
    }

    /** Another one: the extension amqp. */
    public function pecl(): AMQPChannel
    {
        $place = ['host' => '127.0.0.1', 'port' => $this->port, 'vhost' => $this->vhost];
        $connection = new AMQPConnection($place + ['login' => 'guest', 'password' => 'guest']);
        $connection->connect();
        return new AMQPChannel($connection);
    }

    /** What lies in a queue, taken out: `[body, properties, headers]` each. @return list<array{string, array, array}> */
    public function take(string $queue): array
    {
        $channel = $this->amqplib();
        $all = [];
        while ($message = $channel->basic_get($queue, true)) {
            $properties = $message->get_properties();
            $headers = isset($properties['application_headers']) ? $properties['application_headers']->getNativeData() : [];
            unset($properties['application_headers']);
            $all[] = [$message->getBody(), $properties, $headers];
        }
        $channel->getConnection()->close();
        return $all;
    }

    /** How many messages are ready there. A connection that is kept would be closed by a forked child of the test. */
    public function ready(string $queue): int
    {
        $channel = $this->amqplib();
        $count = $channel->queue_declare($queue, true)[1];
        $channel->getConnection()->close();
        return $count;
    }
}
