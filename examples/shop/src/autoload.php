<?php

// Loads the classes of the shop, those of the stage it is played on, and PHPMailer as Debian installs it.

spl_autoload_register(function (string $class): void {
    foreach (['Shop\\Stage\\' => __DIR__ . '/../stage/', 'Shop\\' => __DIR__ . '/'] as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            $file = $folder . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
            is_file($file) && require $file;
            return;
        }
    }
});

require_once '/usr/share/php/libphp-phpmailer/autoload.php';
