<?php

// Stands for a Laravel application that calls App\Jobs\SendMail::dispatch('ada@example.com'): these are the bytes that its driver for RabbitMQ sends.

namespace App\Jobs {
    final class SendMail
    {
        public $connection;
        public $queue;

        public function __construct(public string $to)
        {
        }
    }
}

namespace {
    use App\Jobs\SendMail;
    use PhpAmqpLib\Connection\AMQPStreamConnection;
    use PhpAmqpLib\Message\AMQPMessage;
    use PhpAmqpLib\Wire\AMQPTable;

    require 'PhpAmqpLib/autoload.php';                              // with Composer: vendor/autoload.php

    $at = parse_url('amqp://guest:guest@127.0.0.1:5672/');
    $connection = new AMQPStreamConnection($at['host'], $at['port'], $at['user'], $at['pass'], rawurldecode(substr($at['path'], 1)) ?: '/');
    $channel = $connection->channel();
    $channel->queue_declare('default', false, true, false, false);
    foreach (['ada@example.com', 'nobody'] as $n => $to) {
        $job = new SendMail($to);
        $body = json_encode([
            'uuid' => "3f0c7c1e-8d0b-4f0e-9b53-8f3c5b1d2a0$n",
            'displayName' => SendMail::class,
            'job' => 'Illuminate\Queue\CallQueuedHandler@call',
            'maxTries' => 1,
            'maxExceptions' => null,
            'failOnTimeout' => false,
            'backoff' => null,
            'timeout' => null,
            'retryUntil' => null,
            'data' => ['commandName' => SendMail::class, 'command' => serialize($job)],
        ]);
        $channel->basic_publish(new AMQPMessage($body, [
            'content_type' => 'application/json',
            'delivery_mode' => 2,
            'application_headers' => new AMQPTable(['laravel' => ['attempts' => 0]]),
        ]), '', 'default');
    }
    $connection->close();
    echo "published\n";
}
