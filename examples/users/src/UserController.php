<?php

namespace App;

use App\Tasks\MakeAvatar;
use App\Tasks\RefreshReport;
use App\Tasks\SendWelcomeMail;
use Ferry\RedisTask\QueueManager;

/** A request does what its answer needs; everything else becomes a task. */
final class UserController
{
    public function __construct(private Users $users, private QueueManager $queues)
    {
    }

    public function register(string $email, string $name, string $password): User
    {
        $user = $this->users->add($email, $name, $password);

        // Ids, not objects: a task reads its user when it runs. objects.php shows what goes wrong otherwise.
        $this->queues->push(new SendWelcomeMail(['user_id' => $user->id]), 'email');

        // In five minutes: most people upload a picture of their own before that.
        $avatar = new MakeAvatar(['user_id' => $user->id]);
        $avatar->delay = 300;
        $this->queues->push($avatar, 'images');

        // Nobody waits for the report: it has the queue that is worked last.
        $this->queues->push(new RefreshReport(), 'low');

        return $user;
    }
}
