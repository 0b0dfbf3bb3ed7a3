<?php

// The peers on Redis.

declare(strict_types=1);

namespace Bench;

use Illuminate\Container\Container;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;
use Symfony\Component\Messenger\Bridge\Redis\Transport\Connection;
use Symfony\Component\Messenger\Bridge\Redis\Transport\RedisTransport;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;

require __DIR__ . '/peers.php';

/** Peer => what it needs: Debian's package, the files to load, the class here. */
const PEERS = [
    'illuminate/queue' => [
        'php-illuminate-queue and php-illuminate-redis',
        ['Illuminate/Queue/autoload.php', 'Illuminate/Redis/autoload.php'],
        IlluminateOnRedis::class,
    ],
    'symfony/messenger' => [
        'php-symfony-redis-messenger',
        ['Symfony/Component/Messenger/autoload.php', 'Symfony/Component/Messenger/Bridge/Redis/autoload.php'],
        SymfonyOnRedis::class,
    ],
];

final class IlluminateOnRedis implements Peer
{
    private RedisQueue $queue;
    private \Redis $redis;

    public function __construct()
    {
        $this->redis = redis();
        $container = new Container();
        $server = ['host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'database' => 0];
        $this->queue = new RedisQueue(new RedisManager($container, 'phpredis', ['default' => $server]), QUEUE);
        $this->queue->setContainer($container);
        $this->queue->setConnectionName('redis');
    }

    public function set_up(): void
    {
        $this->redis->flushAll();
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

    public function expect_queue(int $ready, string $who): void
    {
        $key = 'queues:' . QUEUE;
        expect($ready, $this->redis->lLen($key), "$who: jobs ready");
        expect(0, $this->redis->zCard("$key:reserved"), "$who: jobs reserved");
    }
}

final class SymfonyOnRedis implements Peer
{
    private RedisTransport $transport;
    private \Redis $redis;

    public function __construct()
    {
        $this->redis = redis();
        $port = getenv('BENCH_PORT');
        // Messages go when they are done, as with everybody else here; it is the default from 6.0 on.
        $connection = Connection::fromDsn("redis://127.0.0.1:$port/" . QUEUE, ['delete_after_ack' => true]);
        $this->transport = new RedisTransport($connection, new PhpSerializer());
    }

    public function set_up(): void
    {
        $this->redis->flushAll();
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

    public function expect_queue(int $ready, string $who): void
    {
        expect($ready, $this->redis->xLen(QUEUE), "$who: messages in the stream");
        expect(0, (int) $this->redis->xPending(QUEUE, 'symfony')[0], "$who: messages pending");
    }
}
