<?php
// For --SKIPIF--: the console's own needs beside those of the test.

require __DIR__ . '/../support/skip.php';

/** symfony/console as Debian has it, and mbstring for it. */
function needs_console(string ...$more): void
{
    $there = is_file('/usr/share/php/Symfony/Component/Console/autoload.php')
        && array_filter(['mbstring', 'intl'], fn ($name) => !extension_loaded($name) && !is_file(ini_get('extension_dir') . "/$name.so")) === [];
    if (!$there && !getenv('CI')) {
        die("skip needs php-symfony-console, php-mbstring and php-intl\n");
    }
    needs(...$more);
}
