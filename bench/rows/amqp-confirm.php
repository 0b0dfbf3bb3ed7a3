<?php

// One job a push, each confirmed by the broker before the next.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/amqp_row.php';

$pushes = amount(1000, 200);
declare_queue();
$payload = think_payload(\BenchJob::class, DATA);
$check = fn (string $who) => function () use ($pushes, $who) {
    expect($pushes, ready(), "$who: jobs ready");
};
$sides = [
    'Ferry\Queue::push' => function () use ($pushes) {
        for ($n = 0; $n < $pushes; $n++) {
            \Ferry\Queue::push(\BenchJob::class, DATA);
        }
    },
];
$channel = lib_channel();
$sides['php-amqplib, finished payload'] = function () use ($pushes, $channel, $payload) {
    for ($n = 0; $n < $pushes; $n++) {
        $channel->basic_publish(lib_message($payload), '', QUEUE, true);
        $channel->wait_for_pending_acks_returns();
    }
};
if (has_pecl()) {
    [$exchange, $await] = pecl_publisher();
    $sides['pecl-amqp, finished payload'] = function () use ($pushes, $exchange, $await, $payload) {
        for ($n = 0; $n < $pushes; $n++) {
            pecl_publish($exchange, $payload);
            $await(1);
        }
    };
}
foreach ($sides as $who => $work) {
    $sides[$who] = [purge(...), $work, $check($who)];
}
[$rounds, $values] = interleaved_with_cpu($sides, amount(9, 2), $pushes);
answer(['title' => 'push one job, each confirmed', 'unit' => 'us per push', 'rounds' => $rounds, 'values' => $values]);
