<?php

// Finds the classes of this folder, with or without Composer.

spl_autoload_register(static function (string $class): void {
    $prefix = 'Ferry\\Console\\';
    if (strncmp($class, $prefix, strlen($prefix)) === 0) {
        $file = __DIR__ . '/src/Console/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
