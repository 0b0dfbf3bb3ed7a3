<?php
// think-queue beside us: v3 and v1 workers and producers that issue exactly its commands, in its order, by phpredis or by predis.
//
// The commands are those of fixtures/think-queue-v3.json and -v1.json (`redis/pop-*`, `redis/release-*`, `redis/delete*`). The framework
// around them is left out. Its known holes are left in: LPOP and ZADD are two commands, ZREM and ZADD of a release too.

/** phpredis's words for what think-queue calls, spoken by predis. */
final class PredisAsPhpredis
{
    private Predis\Client $predis;

    public function __construct(int $port)
    {
        require_once 'Predis/Autoloader.php';
        Predis\Autoloader::register();
        $this->predis = new Predis\Client(['host' => '127.0.0.1', 'port' => $port]);
    }

    public function __call(string $command, array $arguments): mixed
    {
        return $this->predis->executeRaw([strtoupper($command), ...array_map('strval', $arguments)]);
    }

    /** Whether this PHP can find predis. */
    public static function isInstalled(): bool
    {
        return stream_resolve_include_path('Predis/Autoloader.php') !== false;
    }
}

/** A link of the test's own. predis of Debian 12 is older than PHP 8.2, hence its deprecations. */
function peer_link(string $client, int $port): Redis|PredisAsPhpredis
{
    if ($client === 'predis') {
        error_reporting(E_ALL & ~E_DEPRECATED);
        return new PredisAsPhpredis($port);
    }
    $redis = new Redis();
    $redis->connect('127.0.0.1', $port, 5);
    return $redis;
}

/** What v1 and v3 have in common. */
abstract class ThinkPeer
{
    protected string $key;

    public function __construct(protected Redis|PredisAsPhpredis $redis, string $queue, protected int $retryAfter)
    {
        $this->key = $this->keyOf($queue);
    }

    abstract protected function keyOf(string $queue): string;

    abstract protected function payload(string $job, mixed $data): array;

    /** Moves what is due to the ready list, in one transaction. */
    abstract protected function remove(string $from, int $now, array $due): void;

    abstract protected function refill(string $from, array $due): void;

    /** @return array{array, string}|null the payload as the handler counts it, and the reserved member */
    abstract public function pop(): ?array;

    abstract public function release(string $reserved, array $payload, int $delay): void;

    public function push(string $job, mixed $data): void
    {
        $this->redis->rPush($this->key, json_encode($this->payload($job, $data)));
    }

    public function later(int $delay, string $job, mixed $data): void
    {
        $this->redis->zAdd("$this->key:delayed", time() + $delay, json_encode($this->payload($job, $data)));
    }

    public function delete(string $reserved): void
    {
        $this->redis->zRem("$this->key:reserved", $reserved);
    }

    protected function migrate(string $from): void
    {
        $this->redis->watch($from);
        $now = time();
        $due = $this->redis->zRangeByScore($from, '-inf', (string) $now);
        if ($due) {
            $this->redis->multi();
            $this->remove($from, $now, $due);
            $this->refill($from, $due);
            // An aborted EXEC is ignored: nothing moves in this pop.
            $this->redis->exec();
        }
        $this->redis->unwatch();
    }

    protected function take(): ?string
    {
        $this->migrate("$this->key:delayed");
        $this->migrate("$this->key:reserved");
        $body = $this->redis->lPop($this->key);
        return is_string($body) ? $body : null;
    }

    protected function id(): string
    {
        return substr(str_shuffle(str_repeat('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', 5)), 0, 32);
    }
}

/** v3.0.5 and later. */
class Think3Peer extends ThinkPeer
{
    protected function keyOf(string $queue): string
    {
        return "{queues:$queue}";
    }

    protected function payload(string $job, mixed $data): array
    {
        return ['job' => $job, 'maxTries' => null, 'timeout' => null, 'data' => $data, 'id' => $this->id(), 'attempts' => 0];
    }

    protected function remove(string $from, int $now, array $due): void
    {
        $this->redis->zRemRangeByRank($from, 0, count($due) - 1);
    }

    protected function refill(string $from, array $due): void
    {
        foreach (array_chunk($due, 100) as $some) {
            $this->redis->rawCommand('RPUSH', $this->key, ...$some);
        }
    }

    public function pop(): ?array
    {
        $body = $this->take();
        if ($body === null) {
            return null;
        }
        $payload = json_decode($body, true);
        $payload['attempts']++;
        $reserved = json_encode($payload);
        $this->redis->zAdd("$this->key:reserved", time() + $this->retryAfter, $reserved);
        return [$payload, $reserved];
    }

    public function release(string $reserved, array $payload, int $delay): void
    {
        $this->delete($reserved);
        $this->redis->zAdd("$this->key:delayed", time() + $delay, $reserved);
    }
}

/** v3.0.2 to v3.0.4: the same commands on keys without braces (`older-tag/v3.0.2-*`, `older-tag/v3.0.4-*`). v3.0.0 and v3.0.1 lose every job they pop. */
final class Think3LegacyPeer extends Think3Peer
{
    protected function keyOf(string $queue): string
    {
        return "queues:$queue";
    }
}

/** v1 and v2. */
final class Think1Peer extends ThinkPeer
{
    protected function keyOf(string $queue): string
    {
        return "queues:$queue";
    }

    protected function payload(string $job, mixed $data): array
    {
        return ['job' => $job, 'data' => $data, 'id' => $this->id(), 'attempts' => 1];
    }

    protected function remove(string $from, int $now, array $due): void
    {
        $this->redis->zRemRangeByScore($from, '-inf', (string) $now);
    }

    protected function refill(string $from, array $due): void
    {
        if (str_ends_with($from, ':reserved')) {
            $due = array_map(fn ($body) => $this->raised(json_decode($body, true)), $due);
        }
        $this->redis->rawCommand('RPUSH', $this->key, ...$due);
    }

    public function pop(): ?array
    {
        $body = $this->take();
        if ($body === null) {
            return null;
        }
        $this->redis->zAdd("$this->key:reserved", time() + $this->retryAfter, $body);
        return [json_decode($body, true), $body];
    }

    public function release(string $reserved, array $payload, int $delay): void
    {
        $this->delete($reserved);
        $this->redis->zAdd("$this->key:delayed", time() + $delay, $this->raised($payload));
    }

    private function raised(array $payload): string
    {
        $payload['attempts']++;
        return json_encode($payload);
    }
}

/** A job as handlers of an old worker see it. */
final class PeerJob
{
    private bool $settled = false;

    public function __construct(private ThinkPeer $queue, private array $payload, private string $reserved)
    {
    }

    public function attempts(): int
    {
        return $this->payload['attempts'];
    }

    public function delete(): void
    {
        $this->settled = true;
        $this->queue->delete($this->reserved);
    }

    public function release(int $delay = 0): void
    {
        $this->settled = true;
        $this->queue->release($this->reserved, $this->payload, $delay);
    }

    /** Runs the handler; what throws is released, as both workers do without `--tries`. */
    public function run(): void
    {
        try {
            (new $this->payload['job']())->fire($this, $this->payload['data']);
        } catch (Exception $e) {
            $this->settled || $this->release(0);
        }
    }
}

function think_peer(string $family, string $client, int $port, string $queue, int $retryAfter): ThinkPeer
{
    $class = match ($family) {
        'think3' => Think3Peer::class,
        'think3-legacy' => Think3LegacyPeer::class,
        'think1' => Think1Peer::class,
    };
    return new $class(peer_link($client, $port), $queue, $retryAfter);
}
