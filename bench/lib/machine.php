<?php

// Where the numbers come from: the machine and the versions.

declare(strict_types=1);

namespace Bench;

function machine(): array
{
    if (!is_file(extension())) {
        fwrite(STDERR, extension() . " is not there: cargo build --release -p ferry, or set FERRY_SO\n");
        exit(1);
    }
    return [
        'cpu' => cpu_model(),
        'cores' => (int) first_line('nproc'),
        'kernel' => php_uname('s') . ' ' . php_uname('r'),
        'load' => load(),
        'php' => PHP_VERSION . (PHP_ZTS ? ' ZTS' : ' NTS'),
        'opcache' => opcache_state(),
        'phpredis' => phpversion('redis') ?: 'missing',
        'redis-server' => preg_match('/v=(\S+)/', first_line('redis-server --version'), $found) ? $found[1] : 'missing',
        'rabbitmq' => preg_match('~rabbitmq_server-([\d.]+)~', (string) RabbitServer::program(), $found) ? $found[1] : 'missing',
        'php-amqplib' => first_line("dpkg-query -W -f '\${Version}' php-amqplib") ?: 'missing',
        'pecl-amqp' => phpversion('amqp') ?: 'missing',
        'sqlite' => in_array('sqlite', \PDO::getAvailableDrivers(), true) ? (new \PDO('sqlite::memory:'))->query('select sqlite_version()')->fetchColumn() : 'missing',
        'ferry' => ferry_version(),
        'temporary files' => first_line('stat -f -c %T ' . escapeshellarg(sys_get_temp_dir())),
    ];
}

function cpu_model(): string
{
    $info = (string) @file_get_contents('/proc/cpuinfo');
    return preg_match('/^model name\s*:\s*(.+)$/m', $info, $found) ? $found[1] : php_uname('m');
}

function load(): string
{
    return implode(' ', array_map(fn ($load) => sprintf('%.2f', $load), sys_getloadavg() ?: []));
}

function opcache_state(): string
{
    $state = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;
    $jit = $state !== false && ($state['jit']['on'] ?? false);
    return ($state === false ? 'off on the command line' : 'on') . ', JIT ' . ($jit ? 'on' : 'off');
}

function ferry_version(): string
{
    $say = escapeshellarg(php()) . ' -d extension=' . escapeshellarg(extension()) . ' -r ' . escapeshellarg('echo phpversion("ferry");');
    $said = trim((string) shell_exec("$say 2>&1"));
    if (!preg_match('/^\d+\.\d+\.\d+$/', $said)) {
        fwrite(STDERR, extension() . " does not load:\n$said\n");
        exit(1);
    }
    $size = sprintf('%.1f MiB', filesize(extension()) / (1 << 20));
    return "$said, $size, built " . date('Y-m-d H:i', filemtime(extension()));
}
