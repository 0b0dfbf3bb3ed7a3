<?php

// php correct.php ID EMAIL: corrects the address of a user.

declare(strict_types=1);

require __DIR__ . '/app.php';

users()->change((int) $argv[1], 'email', $argv[2]);
echo "user $argv[1] has the address $argv[2]\n";
