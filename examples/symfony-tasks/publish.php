<?php

// Stands for a Symfony application that dispatches new App\Message\ResizePicture('cat.jpg', 320): these are the bytes that symfony/amqp-messenger sends.

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

require 'PhpAmqpLib/autoload.php';                                  // with Composer: vendor/autoload.php

$at = parse_url('amqp://guest:guest@127.0.0.1:5672/');
$connection = new AMQPStreamConnection($at['host'], $at['port'], $at['user'], $at['pass'], rawurldecode(substr($at['path'], 1)) ?: '/');
$channel = $connection->channel();
$channel->exchange_declare('messages', 'fanout', false, true, false);
$channel->queue_declare('messages', false, true, false, false);
$channel->queue_bind('messages', 'messages');
$channel->basic_publish(new AMQPMessage('{"file":"cat.jpg","width":320}', [
    'content_type' => 'application/json',
    'delivery_mode' => 2,
    'timestamp' => time(),
    'application_headers' => new AMQPTable([
        'type' => 'App\Message\ResizePicture',
        'X-Message-Stamp-Symfony\Component\Messenger\Stamp\BusNameStamp' => '[{"busName":"messenger.bus.default"}]',
    ]),
]), 'messages');
$connection->close();
echo "published\n";
