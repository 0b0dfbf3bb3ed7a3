<?php

// php objects.php ID: pushes a task with a whole user and one with the id of the user, and renames the user before they run.

declare(strict_types=1);

use App\Tasks\GreetById;
use App\Tasks\GreetObject;

require __DIR__ . '/app.php';

$user = users()->get((int) ($argv[1] ?? 1));
$queues = queues();
foreach ([new GreetObject(['user' => $user]), new GreetById(['user_id' => $user->id])] as $task) {
    echo substr(strrchr($task::class, '\\'), 1), ' goes as ', json_encode(json_decode($task->serialize())->data), "\n";
    $queues->push($task, 'email');
}
users()->change($user->id, 'name', 'Ada King');
echo "user $user->id is called Ada King now\n";
