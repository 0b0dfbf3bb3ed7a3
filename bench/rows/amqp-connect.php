<?php

// A new connection and one confirmed publish: what a request pays that cannot keep its connection.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/amqp_row.php';

$times = amount(30, 5);
declare_queue();
$payload = think_payload(\BenchJob::class, DATA);
$sides = [
    'Ferry\Connection, new' => function (int $n): void {
        (new \Ferry\Connection(amqp_config(['connection_timeout' => 5 + $n / 1000])))->push(\BenchJob::class, DATA);
    },
    'php-amqplib' => function () use ($payload): void {
        $channel = lib_channel();
        $channel->basic_publish(lib_message($payload), '', QUEUE, true);
        $channel->wait_for_pending_acks_returns();
        $channel->getConnection()->close();
    },
];
if (has_pecl()) {
    $sides['pecl-amqp'] = function () use ($payload): void {
        [$exchange, $await] = pecl_publisher();
        pecl_publish($exchange, $payload);
        $await(1);
        $exchange->getChannel()->getConnection()->disconnect();
    };
}
$samples = [];
for ($n = 0; $n < $times; $n++) {
    foreach ($sides as $who => $work) {
        $began = hrtime(true);
        // Equal configurations share a connection, so each has a timeout of its own.
        $work($n);
        $samples[$who][] = (hrtime(true) - $began) / 1e6;
    }
}
answer(['title' => 'connect, publish one confirmed, leave', 'unit' => 'ms', 'samples' => $samples]);
