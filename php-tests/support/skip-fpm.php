<?php
// For --SKIPIF-- of tests with php-fpm and nginx; as elsewhere, in CI a missing program is a failure.

require __DIR__ . '/skip.php';
require __DIR__ . '/fpm.php';

needs('redis-server', 'posix');
foreach (['php-fpm' => fpm_program(), 'nginx' => nginx_program()] as $need => $found) {
    if ($found === null && !getenv('CI')) {
        die("skip needs $need\n");
    }
}
