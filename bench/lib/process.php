<?php

// Starting children and hearing from them. Only what was started here is ended here, by its process id.

declare(strict_types=1);

namespace Bench;

/** The extension under test. */
function extension(): string
{
    return getenv('FERRY_SO') ?: dirname(__DIR__, 2) . '/target/release/libferry.so';
}

function php(): string
{
    return getenv('PHP') ?: PHP_BINARY;
}

/** On core 0 together with everything else that is bound, or wherever the kernel likes. */
function placed(bool $bound, array $command): array
{
    return $bound ? ['taskset', '-c', '0', ...$command] : $command;
}

/** Runs a PHP file with the extension; it prints one JSON value. */
function php_json(string $file, array $environment, bool $bound): array
{
    $command = placed($bound, [php(), '-d', 'extension=' . extension(), '-d', 'memory_limit=1G', $file]);
    $process = proc_open($command, [1 => ['pipe', 'w']], $pipes, null, $environment + getenv());
    if ($process === false) {
        throw new \RuntimeException("cannot start $command[0]");
    }
    $printed = stream_get_contents($pipes[1]);
    fclose($pipes[1]);
    $status = proc_close($process);
    if ($status !== 0) {
        throw new \RuntimeException(basename($file) . " left with $status: " . trim($printed));
    }
    return json_decode($printed, true, flags: JSON_THROW_ON_ERROR);
}

/** What a command prints, first line. */
function first_line(string $command): string
{
    return trim(strtok((string) shell_exec("$command 2>/dev/null"), "\n") ?: '');
}

/** Waits for something to come true; these waits are not measured. */
function wait_until(callable $true, string $what, float $seconds = 10): void
{
    $deadline = microtime(true) + $seconds;
    while (!$true()) {
        if (microtime(true) > $deadline) {
            throw new \RuntimeException("waited $seconds s for $what");
        }
        usleep(2000);
    }
}

function temporary_directory(): string
{
    $dir = sys_get_temp_dir() . '/ferry-bench-' . getmypid();
    mkdir($dir, 0700);
    return $dir;
}

function remove_directory(string $dir): void
{
    foreach (array_diff(scandir($dir) ?: [], ['.', '..']) as $name) {
        is_dir("$dir/$name") ? remove_directory("$dir/$name") : unlink("$dir/$name");
    }
    rmdir($dir);
}
