<?php

// php register.php EMAIL NAME: a request to the controller.

declare(strict_types=1);

use App\UserController;

require __DIR__ . '/app.php';

[, $email, $name] = $argv + [1 => 'ada@example.com', 2 => 'Ada Lovelace'];
$user = (new UserController(users(), queues()))->register($email, $name, 'correct horse battery staple');
echo "registered user $user->id, $user->email\n";
