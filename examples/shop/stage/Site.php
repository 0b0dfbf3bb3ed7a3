<?php

namespace Shop\Stage;

use RuntimeException;

/** php-fpm behind nginx: the shop's web endpoint, and (a pool of its own) the SMS provider's API. */
final class Site
{
    private const TRIES = 5;
    private const POOLS = ['web' => 4, 'sms' => 3];

    private function __construct(private int $port, private Process $fpm, private Process $nginx)
    {
    }

    /** @param array<string, string> $environment of the scripts */
    public static function start(string $folder, string $app, array $environment, int $port): self
    {
        mkdir("$folder/site");
        file_put_contents("$folder/site/fpm.conf", self::fpm($folder));
        file_put_contents("$folder/site/nginx.conf", self::nginx("$folder/site", $app, $port));
        $extension = ['-d', "extension=$folder/ferry.so"];
        $fpm = Process::start($folder, 'php-fpm', [self::program('php-fpm' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION, 'php-fpm'), ...$extension, '-F', '-O', '-y', "$folder/site/fpm.conf"], $environment, 'TERM');
        $nginx = Process::start($folder, 'nginx', [self::program('nginx'), '-p', "$folder/site", '-c', "$folder/site/nginx.conf", '-e', "$folder/site/nginx.log"], [], 'TERM');
        $site = new self($port, $fpm, $nginx);
        Wait::until(fn () => $site->isUp($folder), 'php-fpm and nginx listen', 30, fn () => $fpm->log() . $nginx->log());
        return $site;
    }

    /** A port that nginx can have. */
    public static function port(): int
    {
        return Ports::one();
    }

    public function url(string $path): string
    {
        return "http://127.0.0.1:{$this->port}$path";
    }

    public function stop(): void
    {
        $this->nginx->stop();
        $this->fpm->stop();
    }

    private function isUp(string $folder): bool
    {
        if (!$this->fpm->isRunning() || !$this->nginx->isRunning()) {
            throw new RuntimeException("php-fpm or nginx ended:\n{$this->fpm->log()}{$this->nginx->log()}" . @file_get_contents("$folder/site/nginx.log"));
        }
        $sockets = array_map(fn ($pool) => "$folder/site/$pool.sock", array_keys(self::POOLS));
        return array_filter($sockets, 'file_exists') === $sockets && @stream_socket_client("tcp://127.0.0.1:{$this->port}") !== false;
    }

    private static function program(string ...$names): string
    {
        foreach ($names as $name) {
            $found = trim((string) shell_exec("PATH=\$PATH:/usr/sbin:/usr/local/sbin command -v $name"));
            if ($found !== '') {
                return $found;
            }
        }
        throw new RuntimeException("there is no $names[0]; Debian: apt-get install nginx php-fpm");
    }

    private static function fpm(string $folder): string
    {
        $conf = "[global]\nerror_log = $folder/logs/fpm-master.log\n";
        $user = posix_geteuid() === 0 ? "user = www-data\ngroup = www-data\nlisten.owner = www-data\n" : '';
        foreach (self::POOLS as $pool => $children) {
            $conf .= "[$pool]\nlisten = $folder/site/$pool.sock\npm = static\npm.max_children = $children\nclear_env = no\n"
                . "catch_workers_output = yes\nphp_admin_flag[log_errors] = on\n$user";
        }
        return $conf;
    }

    private static function nginx(string $folder, string $app, int $port): string
    {
        $user = posix_geteuid() === 0 ? "user www-data;\n" : '';
        $temporary = '';
        foreach (['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'] as $what) {
            $temporary .= "{$what}_temp_path $folder/$what;\n";
        }
        $pass = fn (string $pool, string $script) => <<<CONF
            {
                fastcgi_pass unix:$folder/$pool.sock;
                fastcgi_read_timeout 60s;
                fastcgi_param SCRIPT_FILENAME $app/$script;
                fastcgi_param REQUEST_METHOD \$request_method;
                fastcgi_param REQUEST_URI \$request_uri;
                fastcgi_param CONTENT_TYPE \$content_type;
                fastcgi_param CONTENT_LENGTH \$content_length;
            }
            CONF;
        return <<<CONF
            {$user}daemon off;
            worker_processes 1;
            pid $folder/nginx.pid;
            error_log $folder/nginx.log;
            events { worker_connections 256; }
            http {
                access_log off;
                $temporary
                server {
                    listen 127.0.0.1:$port;
                    location = /orders {$pass('web', 'web/order.php')}
                    location = /sms {$pass('sms', 'stage/sms-api.php')}
                }
            }

            CONF;
    }
}
