<?php

// A full queue, consumed and acked at three prefetches. Ferry decodes each job, makes its handler and calls fire(); the peers count.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/../lib/amqp_row.php';

$jobs = amount(5000, 500);
declare_queue();
$lib = function (int $prefetch, bool $each) use ($jobs): void {
    static $connection;
    $connection ??= lib_connection();
    $channel = $connection->channel();
    $channel->basic_qos(0, $prefetch, false);
    $done = 0;
    $channel->basic_consume(QUEUE, '', false, false, false, false, function ($message) use (&$done, $each, $prefetch, $jobs) {
        $done++;
        if ($each) {
            $message->ack();
        } elseif ($done % max(1, intdiv($prefetch, 2)) === 0 || $done === $jobs) {
            $message->ack(true);
        }
    });
    while ($done < $jobs) {
        $channel->wait();
    }
    $channel->close();
    expect($jobs, $done, 'php-amqplib: jobs consumed');
};
$pecl = function (int $prefetch) use ($jobs): void {
    static $channel;
    $channel ??= pecl_channel();
    $channel->setPrefetchCount($prefetch);
    $queue = new \AMQPQueue($channel);
    $queue->setName(QUEUE);
    $done = 0;
    $queue->consume(function ($envelope, $queue) use (&$done, $jobs) {
        $queue->ack($envelope->getDeliveryTag());
        return ++$done < $jobs;
    });
    $queue->cancel();
    expect($jobs, $done, 'pecl-amqp: jobs consumed');
};
$ferry = function (int $prefetch, array $more = []) use ($jobs): void {
    (new \Ferry\Worker($more + ['prefetch' => $prefetch, 'max_jobs' => $jobs, 'log' => 'none']))->run();
    expect($jobs, \BenchJob::$done, 'Ferry: jobs worked');
};
$rounds = [];
$values = [];
foreach ([100, 10, 1] as $prefetch) {
    $prepare = function () use ($jobs) {
        purge();
        fill($jobs);
        \BenchJob::$done = 0;
    };
    $sides = ["Ferry\\Worker, prefetch $prefetch" => fn () => $ferry($prefetch)];
    $sides["php-amqplib, prefetch $prefetch, ack each"] = fn () => $lib($prefetch, true);
    if ($prefetch === 100) {
        $sides["php-amqplib, prefetch 100, one ack per 50"] = fn () => $lib(100, false);
    }
    if (has_pecl()) {
        $sides["pecl-amqp, prefetch $prefetch, ack each"] = fn () => $pecl($prefetch);
    }
    foreach ($sides as $who => $work) {
        $sides[$who] = [$prepare, $work, fn () => expect(0, ready(), "$who: jobs left")];
    }
    [$more, $cpu] = interleaved_with_cpu($sides, amount(5, 1), $jobs);
    $rounds += $more;
    $values += $cpu;
}
answer(['title' => 'consume and ack a full queue', 'unit' => 'us per job', 'rounds' => $rounds, 'values' => $values]);
