<?php

// A hundred jobs a call, their confirms awaited together.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/amqp_row.php';

const BATCH = 100;

$batches = amount(100, 10);
$jobs = $batches * BATCH;
declare_queue();
$payload = think_payload(\BenchJob::class, DATA);
$names = array_fill(0, BATCH, \BenchJob::class);
$sides = [
    'Ferry\Connection::bulk of 100' => function () use ($batches, $names) {
        for ($n = 0; $n < $batches; $n++) {
            \Ferry\Queue::bulk($names, DATA);
        }
    },
];
$channel = lib_channel();
$sides['php-amqplib, batch of 100 finished payloads'] = function () use ($batches, $channel, $payload) {
    for ($n = 0; $n < $batches; $n++) {
        for ($m = 0; $m < BATCH; $m++) {
            $channel->batch_basic_publish(lib_message($payload), '', QUEUE, true);
        }
        $channel->publish_batch();
        $channel->wait_for_pending_acks_returns();
    }
};
if (has_pecl()) {
    [$exchange, $await] = pecl_publisher();
    $sides['pecl-amqp, 100 finished payloads'] = function () use ($batches, $exchange, $await, $payload) {
        for ($n = 0; $n < $batches; $n++) {
            for ($m = 0; $m < BATCH; $m++) {
                pecl_publish($exchange, $payload);
            }
            $await(BATCH);
        }
    };
}
foreach ($sides as $who => $work) {
    $sides[$who] = [purge(...), $work, fn () => expect($jobs, ready(), "$who: jobs ready")];
}
[$rounds, $values] = interleaved_with_cpu($sides, amount(9, 2), $jobs);
answer(['title' => 'push in batches of 100, confirms pipelined', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => $values]);
