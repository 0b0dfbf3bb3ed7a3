<?php

// Pushes jobs by think-queue's own facade, runs them as `php think queue:work --tries=2 --delay=0` does, and shows what failed, as
// `php think ferry failed` does. The file that loads ThinkPHP has initialised the application.

use app\job\ChargeCard;
use app\job\SendMail;
use think\Console;
use think\Queue;

Queue::push(SendMail::class, ['to' => 'li@example.com', 'subject' => 'your order']);
Queue::push('SendMail', ['to' => 'wang@example.com', 'subject' => 'a short name']);
Queue::push(ChargeCard::class, ['order' => 7]);
echo 'waiting: ', Queue::size(), "\n";

while (Queue::size() > 0) {
    echo Console::call('queue:work', ['--tries=2', '--delay=0'])->fetch();
}

foreach (Queue::failed('default') as $failed) {
    echo 'failed: ', json_decode($failed['payload'], true)['job'], ' in ', $failed['queue'], ': ', strtok($failed['exception'], "\n"), "\n";
}
