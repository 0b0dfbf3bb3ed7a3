<?php

// Finds the classes of this folder, with or without Composer.

require_once __DIR__ . '/src/functions.php';

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Ferry\\', 6) === 0) {
        $file = __DIR__ . '/src/' . strtr(substr($class, 6), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
