<?php

// illuminate/queue and symfony/messenger as peers on Redis: the real packages, wired by hand, from the include path, where Debian's
// packages put them. Their workers, events and buses are left out: a push is their push, a job is take, handle, delete.

declare(strict_types=1);

namespace Bench;

use Illuminate\Container\Container;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;
use Symfony\Component\Messenger\Bridge\Redis\Transport\Connection;
use Symfony\Component\Messenger\Bridge\Redis\Transport\RedisTransport;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;

/** Peer => what it needs: Debian's package, the files to load, the class here. */
const PEERS = [
    'illuminate/queue' => [
        'php-illuminate-queue and php-illuminate-redis',
        ['Illuminate/Queue/autoload.php', 'Illuminate/Redis/autoload.php'],
        IlluminatePeer::class,
    ],
    'symfony/messenger' => [
        'php-symfony-redis-messenger',
        ['Symfony/Component/Messenger/autoload.php', 'Symfony/Component/Messenger/Bridge/Redis/autoload.php'],
        SymfonyPeer::class,
    ],
];

/** A queue library with a Redis connection of its own. */
interface Peer
{
    /** Makes the empty queue ready for use, after the database was flushed. */
    public function set_up(): void;

    public function push(): void;

    /** Takes one job, runs its handler and deletes it. False when there is none. */
    public function work(): bool;

    /** Checks that a queue is as it should be, ready and reserved. */
    public function expect_queue(\Redis $redis, int $ready, string $who): void;
}

final class IlluminatePeer implements Peer
{
    private RedisQueue $queue;

    public function __construct(int $port)
    {
        $container = new Container();
        $server = ['host' => '127.0.0.1', 'port' => $port, 'database' => 0];
        $this->queue = new RedisQueue(new RedisManager($container, 'phpredis', ['default' => $server]), QUEUE);
        $this->queue->setContainer($container);
        $this->queue->setConnectionName('redis');
    }

    public function set_up(): void
    {
    }

    public function push(): void
    {
        $this->queue->push(\BenchJob::class, DATA);
    }

    public function work(): bool
    {
        $job = $this->queue->pop();
        $job?->fire();
        return $job !== null;
    }

    public function expect_queue(\Redis $redis, int $ready, string $who): void
    {
        $key = 'queues:' . QUEUE;
        expect($ready, $redis->lLen($key), "$who: jobs ready");
        expect(0, $redis->zCard("$key:reserved"), "$who: jobs reserved");
    }
}

final class SymfonyPeer implements Peer
{
    private RedisTransport $transport;

    public function __construct(int $port)
    {
        // Messages go when they are done, as with everybody else here; it is the default from 6.0 on.
        $connection = Connection::fromDsn("redis://127.0.0.1:$port/" . QUEUE, ['delete_after_ack' => true]);
        $this->transport = new RedisTransport($connection, new PhpSerializer());
    }

    public function set_up(): void
    {
        $this->transport->setup();
    }

    public function push(): void
    {
        $this->transport->send(new Envelope(new \BenchMessage(DATA)));
    }

    public function work(): bool
    {
        $worked = false;
        foreach ($this->transport->get() as $envelope) {
            (new \BenchMessageHandler())($envelope->getMessage());
            $this->transport->ack($envelope);
            $worked = true;
        }
        return $worked;
    }

    public function expect_queue(\Redis $redis, int $ready, string $who): void
    {
        expect($ready, $redis->xLen(QUEUE), "$who: messages in the stream");
        expect(0, (int) $redis->xPending(QUEUE, 'symfony')[0], "$who: messages pending");
    }
}

/** @return array<string, Peer> those whose packages are on the include path */
function installed_peers(): array
{
    $peers = [];
    foreach (array_filter(PEERS, is_installed(...)) as $name => [, $files, $class]) {
        // Old packages on a new PHP: what they say about it would be in the middle of the answer.
        error_reporting(error_reporting() & ~E_DEPRECATED);
        array_map(fn ($file) => require_once $file, $files);
        $peers[$name] = new $class((int) getenv('BENCH_PORT'));
    }
    return $peers;
}

/** @return array<string, string> a line for each that is left out */
function missing_peers(): array
{
    $missing = array_filter(PEERS, fn ($peer) => !is_installed($peer));
    return array_map(fn ($peer) => "left out: $peer[0] not installed", $missing);
}

function is_installed(array $peer): bool
{
    return !in_array(false, array_map('stream_resolve_include_path', $peer[1]), true);
}
