<?php

namespace App\Tasks;

use Ferry\RedisTask\Task;

/** Draws a picture of the initials of a user. */
final class MakeAvatar extends Task
{
    public function handle(): bool
    {
        $user = users()->get($this->data['user_id']);
        $initials = implode('', array_map(fn ($word) => mb_substr($word, 0, 1), explode(' ', $user->name)));
        $svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><circle cx="32" cy="32" r="32" fill="#369"/>'
            . '<text x="32" y="41" font-size="26" text-anchor="middle" fill="#fff">' . htmlspecialchars($initials) . '</text></svg>';

        // Written beside its place, then renamed: nobody sees half a picture, and a second run leaves the same one.
        $file = folder() . "/avatar-$user->id.svg";
        file_put_contents("$file.new", $svg);
        rename("$file.new", $file);
        echo "  avatar-$user->id.svg: $initials\n";
        return true;
    }
}
