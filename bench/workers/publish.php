<?php

// One request under php-fpm that publishes one confirmed job. It prints how long that took, in microseconds.

declare(strict_types=1);

namespace Bench;

const DATA = ['to' => 'ada@example.com', 'subject' => 'Hello'];

$port = (int) $_GET['port'];
$began = hrtime(true);
if ($_GET['side'] === 'ferry') {
    \Ferry\Queue::configure(['connections' => ['amqp' => ['type' => 'amqp', 'host' => '127.0.0.1', 'port' => $port, 'queue' => 'bench', 'queue_type' => 'classic']]]);
    \Ferry\Queue::push('BenchJob', DATA);
} else {
    require_once '/usr/share/php/PhpAmqpLib/autoload.php';
    $connection = new \PhpAmqpLib\Connection\AMQPStreamConnection('127.0.0.1', $port, 'guest', 'guest');
    $channel = $connection->channel();
    $channel->confirm_select();
    $message = new \PhpAmqpLib\Message\AMQPMessage(json_encode(DATA), ['content_type' => 'application/json', 'delivery_mode' => 2]);
    $channel->basic_publish($message, '', 'bench', true);
    $channel->wait_for_pending_acks_returns();
    $connection->close();
}
echo (hrtime(true) - $began) / 1000;
