<?php

// Pushes jobs by think-queue's own connections, runs them as `php think queue:work --once --tries=2 --delay=0` does, and shows what failed as
// `php think queue:failed` does. $app is the application: the file that loads ThinkPHP has made it.

use app\job\ChargeCard;
use app\job\SendMail;
use app\job\Welcome;

$app->config->set(require __DIR__ . '/config/queue.php', 'queue');
$app->register(Ferry\Think\Service::class);
$app->register(think\queue\Service::class);
$app->initialize();

$queue = $app->queue->connection();
$queue->push(SendMail::class, ['to' => 'li@example.com', 'subject' => 'your order']);
$queue->push('send_mail', ['to' => 'wang@example.com', 'subject' => 'a short name']);
$queue->push(new Welcome('zhao@example.com'));
$queue->push(ChargeCard::class, ['order' => 7]);
echo 'waiting: ', $queue->size(), "\n";

$worker = $app->make(think\queue\Worker::class);
while ($queue->size() > 0) {
    $worker->runNextJob('redis', 'default', '0', 1, 2);
}

foreach ($app->make('queue.failer')->all() as $failed) {
    echo 'failed: ', json_decode($failed['payload'], true)['job'], ' in ', $failed['queue'], ': ', strtok($failed['exception'], "\n"), "\n";
}
