<?php

// A trait of think-queue that object jobs use, for applications that have removed its package: the extension has its classes, but an extension
// cannot have a trait. Composer's loader is asked first.

spl_autoload_register(static function (string $name): void {
    if (strcasecmp($name, 'think\queue\Queueable') === 0 && ini_get('ferry.think_names') !== '0') {
        class_alias(Ferry\Queueable::class, 'think\queue\Queueable');
    }
});
