<?php

// What the RabbitMQ rows share: one node, one classic durable queue, and every client on it.
//
// The peers are used as their authors recommend for speed: persistent messages, publisher confirms, manual acks, TCP_NODELAY. They
// declare nothing and encode a finished payload; Ferry builds its own.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/row.php';
require __DIR__ . '/think.php';
require __DIR__ . '/handler.php';
@include '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;

const QUEUE = 'bench';

function amqp_config(array $more = []): array
{
    return $more + ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'queue' => QUEUE, 'queue_type' => 'classic'];
}

function configure_ferry(array $more = []): void
{
    \Ferry\Queue::configure(['default' => 'amqp', 'connections' => ['amqp' => amqp_config($more)]]);
}

/** A queue as Ferry declares it, for all. */
function declare_queue(): void
{
    configure_ferry();
    \Ferry\Queue::push(\BenchJob::class, DATA);
    purge();
}

function purge(): void
{
    static $channel;
    $channel ??= lib_connection()->channel();
    $channel->queue_purge(QUEUE);
}

function ready(): int
{
    static $channel;
    $channel ??= lib_connection()->channel();
    return $channel->queue_declare(QUEUE, true)[1];
}

function lib_connection(): AMQPStreamConnection
{
    return new AMQPStreamConnection('127.0.0.1', (int) getenv('BENCH_PORT'), 'guest', 'guest');
}

function lib_channel(): AMQPChannel
{
    $channel = lib_connection()->channel();
    $channel->confirm_select();
    $channel->set_return_listener(fn () => fail('php-amqplib: a message came back'));
    return $channel;
}

function lib_message(string $payload): AMQPMessage
{
    return new AMQPMessage($payload, ['content_type' => 'application/json', 'delivery_mode' => 2]);
}

function has_pecl(): bool
{
    return extension_loaded('amqp');
}

function pecl_channel(): \AMQPChannel
{
    $connection = new \AMQPConnection(['host' => '127.0.0.1', 'port' => (int) getenv('BENCH_PORT'), 'login' => 'guest', 'password' => 'guest']);
    $connection->connect();
    return new \AMQPChannel($connection);
}

/** The default exchange of a channel with confirms, and how to wait for so many of them. */
function pecl_publisher(): array
{
    $channel = pecl_channel();
    $channel->confirmSelect();
    // The tags of a multiple ack are the highest; false ends the wait.
    $highest = 0;
    $wanted = 0;
    $channel->setConfirmCallback(function (int $tag) use (&$highest, &$wanted) {
        $highest = max($highest, $tag);
        return $highest < $wanted;
    }, fn () => fail('pecl-amqp: a message was refused'));
    $exchange = new \AMQPExchange($channel);
    $await = function (int $more) use ($channel, &$wanted, &$highest) {
        $wanted += $more;
        while ($highest < $wanted) {
            $channel->waitForConfirm(10);
        }
    };
    return [$exchange, $await];
}

function pecl_publish(\AMQPExchange $exchange, string $payload): void
{
    $exchange->publish($payload, QUEUE, AMQP_MANDATORY, ['delivery_mode' => 2, 'content_type' => 'application/json']);
}

/** Stores ready jobs without being measured. */
function fill(int $jobs): void
{
    static $channel;
    $channel ??= lib_channel();
    $payload = think_payload(\BenchJob::class, DATA);
    for ($n = 0; $n < $jobs; $n++) {
        $channel->batch_basic_publish(lib_message($payload), '', QUEUE);
        if ($n % 500 === 499) {
            $channel->publish_batch();
            $channel->wait_for_pending_acks();
        }
    }
    $channel->publish_batch();
    $channel->wait_for_pending_acks();
}

/** Processor time of this process, all threads, in microseconds. */
function cpu(): float
{
    $usage = getrusage();
    return 1e6 * ($usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']) + $usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec'];
}

/**
 * The sides, with the client's processor time of each noted beside the rounds.
 *
 * @param array<string, array{callable, callable, callable}> $sides
 */
function interleaved_with_cpu(array $sides, int $rounds, int $operations): array
{
    $used = [];
    foreach ($sides as $who => [$prepare, $work, $check]) {
        $sides[$who] = [$prepare, function () use ($who, $work, &$used) {
            $before = cpu();
            $work();
            $used[$who][] = cpu() - $before;
        }, $check];
    }
    $times = interleaved($sides, $rounds, $operations);
    $values = [];
    foreach ($used as $who => $spent) {
        $values["client CPU, us each: $who"] = sprintf('%.1f', median(array_slice($spent, 1)) / $operations);
    }
    return [$times, $values];
}
