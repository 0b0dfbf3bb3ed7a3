<?php

// `php think queue:work` on Ferry's loop, and `php think ferry failed` and so on.
return [
    Ferry\Think\WorkCommand::class,
    Ferry\Think\Command::class,
];
