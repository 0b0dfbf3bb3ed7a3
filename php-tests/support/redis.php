<?php
// A Redis server of the test's own: on a free port, in a temporary folder, gone with the test.

require_once __DIR__ . '/child.php';

final class RedisServer
{
    private function __construct(public readonly int $port, private Child $process)
    {
    }

    /** @param list<string> $options */
    public static function start(array $options = []): self
    {
        // Somebody may take the port between our look and the server's start; then another one is tried.
        for ($try = 0; $try < 20; $try++) {
            $port = self::freePort();
            $files = temp_dir() . "/redis-$port";
            $own = ['--port', (string) $port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', temp_dir()];
            $server = new self($port, Child::start(['redis-server', ...$own, ...$options], $files));
            if ($server->isUp()) {
                return $server;
            }
        }
        throw new RuntimeException('redis-server does not start');
    }

    /** A server on a port that another one had. */
    public static function startOn(int $port, array $options = []): self
    {
        $own = ['--port', (string) $port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', temp_dir()];
        $server = new self($port, Child::start(['redis-server', ...$own, ...$options], temp_dir() . "/redis-$port-" . bin2hex(random_bytes(2))));
        if (!$server->isUp()) {
            throw new RuntimeException("redis-server does not start on port $port");
        }
        return $server;
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
            $link = @stream_socket_client("tcp://127.0.0.1:{$this->port}", $code, $text, 0.2);
            return $up = $link !== false;
        }, 'redis-server answers');
        return $up && $this->process->isRunning();
    }

    /** The settings of a Ferry connection to it. */
    public function config(array $more = []): array
    {
        return $more + ['type' => 'redis', 'host' => '127.0.0.1', 'port' => $this->port];
    }

    public function dsn(string $query = ''): string
    {
        return "redis://127.0.0.1:{$this->port}" . ($query === '' ? '' : "?$query");
    }

    /** A client that knows nothing of Ferry. */
    public function client(): Redis
    {
        $redis = new Redis();
        $redis->connect('127.0.0.1', $this->port, 5);
        return $redis;
    }

    public function stop(): void
    {
        $this->process->signal(SIGKILL);
        $this->process->wait();
    }
}

/** Everything in a Redis, in the shape of the recorded vectors. Keys of Ferry's own are left out. */
function redis_state(Redis $redis): array
{
    $state = [];
    foreach ($redis->keys('*') as $key) {
        $state[$key] = match ($redis->type($key)) {
            Redis::REDIS_LIST => ['type' => 'list', 'value' => $redis->lRange($key, 0, -1)],
            Redis::REDIS_ZSET => ['type' => 'zset', 'value' => array_map(null, ...zset($redis, $key))],
            Redis::REDIS_STRING => ['type' => 'string', 'value' => $redis->get($key)],
            default => ['type' => 'other', 'value' => null],
        };
    }
    ksort($state);
    return array_filter($state, fn ($key) => !str_contains($key, ':ferry:'), ARRAY_FILTER_USE_KEY);
}

/** @return array{list<string>, list<string>} members and scores, always as lists of equal length, at least one */
function zset(Redis $redis, string $key): array
{
    $members = $redis->zRange($key, 0, -1, true);
    return [array_map('strval', array_keys($members)), array_map(fn ($score) => (string) (int) $score, array_values($members))];
}

/** Puts a recorded state into a Redis, its times moved by `$shift` seconds. */
function redis_restore(Redis $redis, array $state, int $shift): void
{
    $redis->flushAll();
    foreach ($state as $key => ['type' => $type, 'value' => $value]) {
        match ($type) {
            'list' => $redis->rawCommand('RPUSH', $key, ...$value),
            'zset' => array_map(fn ($entry) => $redis->zAdd($key, $entry[1] > 1e9 ? $entry[1] + $shift : (float) $entry[1], $entry[0]), $value),
            'string' => $redis->set($key, $value),
        };
    }
}
