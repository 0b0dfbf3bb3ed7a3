<?php
// php-fpm behind nginx, both of the test's own: in temporary folders, on unix sockets, gone with the test.

require_once __DIR__ . '/http.php';
require_once __DIR__ . '/redis.php';

/** Where Debian puts the php-fpm of this PHP; null when it is not there. */
function fpm_program(): ?string
{
    $version = PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
    foreach (["php-fpm$version", 'php-fpm'] as $name) {
        $found = trim((string) shell_exec("PATH=\$PATH:/usr/sbin:/usr/local/sbin command -v $name"));
        if ($found !== '') {
            return $found;
        }
    }
    return null;
}

function nginx_program(): ?string
{
    return trim((string) shell_exec('PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx')) ?: null;
}

final class FpmSite
{
    private const AS_USER = ['setpriv', '--reuid', 'www-data', '--regid', 'www-data', '--clear-groups', '--pdeathsig', 'TERM'];

    private function __construct(private string $folder, private Child $fpm, private Child $nginx)
    {
    }

    /**
     * Starts a master with its pools, and nginx before it: `/<pool>/<script>` runs the script in the pool.
     *
     * @param array<string, string> $scripts PHP code by file name
     * @param array<string, array<string, string>> $pools settings by pool; four children and what Debian's pool does are given
     * @param list<string> $flags for php-fpm, for example `-d opcache.enable=1`
     * @param array<string, string> $env of the master and its pools
     * @param array<string, string> $global settings of the master
     * @param bool $as_user the master is not root either: as root, PHP preloads in a child that ends
     */
    public static function start(array $scripts, array $pools, array $flags = [], array $env = [], array $global = [], bool $as_user = false): self
    {
        $folder = self::folder();
        $as_user = $as_user && posix_geteuid() === 0;
        foreach ($scripts as $name => $code) {
            file_put_contents("$folder/$name", "<?php $code\n");
        }
        file_put_contents("$folder/fpm.conf", self::fpm_conf($folder, $pools, $global));
        file_put_contents("$folder/nginx.conf", self::nginx_conf($folder, array_keys($pools)));
        // The user may not be able to reach the extension where it was built.
        copy(getenv('FERRY_SO'), "$folder/ferry.so");
        $flags = [...explode(' ', str_replace(getenv('FERRY_SO'), "$folder/ferry.so", getenv('FERRY_PHP_FLAGS'))), ...$flags];
        $command = [fpm_program(), ...$flags, '-F', '-O', '-y', "$folder/fpm.conf"];
        $fpm = self::child($as_user ? [...self::AS_USER, ...$command] : $command, "$folder/fpm", $env);
        $site = new self($folder, $fpm, self::child([nginx_program(), '-p', $folder, '-c', "$folder/nginx.conf"], "$folder/nginx", []));
        at_the_end(fn () => $site->stop());
        $sockets = ["$folder/http.sock", ...array_map(fn ($pool) => "$folder/$pool.sock", array_keys($pools))];
        wait_until(fn () => $site->isUp() && array_filter($sockets, 'file_exists') === $sockets, 'php-fpm and nginx listen');
        return $site;
    }

    /** A folder that the pools' user may enter. */
    private static function folder(): string
    {
        $folder = sys_get_temp_dir() . '/ferry-fpm-' . getmypid() . '-' . bin2hex(random_bytes(3));
        mkdir($folder);
        chmod($folder, 0755);
        if (posix_geteuid() === 0) {
            chown($folder, 'www-data');
        }
        at_the_end(fn () => shell_exec('rm -rf ' . escapeshellarg($folder)));
        return $folder;
    }

    /** Both end their own children when they are told to end, and not when they are killed. */
    private static function child(array $command, string $files, array $env): Child
    {
        return Child::start(['setpriv', '--pdeathsig', 'TERM', ...$command], $files, $env);
    }

    private static function fpm_conf(string $folder, array $pools, array $global): string
    {
        $user = posix_geteuid() === 0 ? ['user' => 'www-data', 'group' => 'www-data', 'listen.owner' => 'www-data'] : [];
        $conf = self::section('global', $global + ['pid' => "$folder/fpm.pid", 'error_log' => "$folder/fpm.log"]);
        foreach ($pools as $name => $settings) {
            $given = ['listen' => "$folder/$name.sock", 'pm' => 'static', 'pm.max_children' => '4', 'clear_env' => 'no'];
            $conf .= self::section($name, $settings + $given + $user);
        }
        return $conf;
    }

    private static function section(string $name, array $settings): string
    {
        $lines = array_map(fn ($key, $value) => "$key = $value\n", array_keys($settings), $settings);
        return "[$name]\n" . implode($lines);
    }

    /** @param list<string> $pools */
    private static function nginx_conf(string $folder, array $pools): string
    {
        $user = posix_geteuid() === 0 ? "user www-data;\n" : '';
        $temporary = '';
        foreach (['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'] as $what) {
            $temporary .= "{$what}_temp_path $folder/nginx-$what;\n";
        }
        $places = '';
        foreach ($pools as $pool) {
            $places .= <<<CONF
            location ~ ^/$pool/(?<script>.+)\$ {
                fastcgi_pass unix:$folder/$pool.sock;
                fastcgi_keep_conn off;
                fastcgi_read_timeout 30s;
                fastcgi_param SCRIPT_FILENAME $folder/\$script;
                fastcgi_param SCRIPT_NAME /\$script;
                fastcgi_param QUERY_STRING \$query_string;
                fastcgi_param REQUEST_METHOD \$request_method;
                fastcgi_param REQUEST_URI \$request_uri;
                fastcgi_param GATEWAY_INTERFACE CGI/1.1;
            }

            CONF;
        }
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
                    listen unix:$folder/http.sock;
                    $places
                }
            }

            CONF;
    }

    private function isUp(): bool
    {
        if (!$this->fpm->isRunning() || !$this->nginx->isRunning()) {
            throw new RuntimeException("php-fpm or nginx ended:\n{$this->log()}{$this->fpm->out()}{$this->nginx->err()}");
        }
        return str_contains($this->log(), 'ready to handle connections') && @stream_socket_client("unix://{$this->socket()}") !== false;
    }

    /** Where nginx listens. */
    public function socket(): string
    {
        return "{$this->folder}/http.sock";
    }

    /** What the master wrote, and what its children wrote on standard error. */
    public function log(): string
    {
        return (string) @file_get_contents("{$this->folder}/fpm.log") . $this->fpm->err();
    }

    /** The body of an answer that is 200; anything else ends the test. */
    public function get(string $path): string
    {
        [$status, $body] = http_get($this->socket(), $path);
        if ($status !== 200) {
            throw new RuntimeException("$path: $status $body\n{$this->log()}");
        }
        return $body;
    }

    /** The process id of the master; it keeps it across a reload. */
    public function master(): int
    {
        return $this->fpm->pid;
    }

    /** How often the master has begun to serve: once, and once more after each reload. */
    public function starts(): int
    {
        return substr_count($this->log(), 'ready to handle connections');
    }

    public function reload(): void
    {
        $this->fpm->signal(SIGUSR2);
    }

    public function stop(): void
    {
        foreach ([$this->nginx, $this->fpm] as $process) {
            $process->isRunning() && $process->signal(SIGTERM);
            $process->wait();
        }
    }
}

/** How many connections a Redis has ever taken. */
function connections_taken(Redis $redis): int
{
    return (int) $redis->info('stats')['total_connections_received'];
}

/** How many connections it has now, that of `$redis` not counted. */
function links(Redis $redis): int
{
    return (int) $redis->info('clients')['connected_clients'] - 1;
}

/** The data of every job in a queue of a Redis. @return list<mixed> */
function stored_data(Redis $redis, string $queue): array
{
    return array_map(fn ($body) => json_decode($body, true)['data'], $redis->lRange("{queues:$queue}", 0, -1));
}

/** The ids of every job in a queue of a Redis. @return list<string> */
function stored_ids(Redis $redis, string $queue): array
{
    return array_map(fn ($body) => json_decode($body, true)['id'], $redis->lRange("{queues:$queue}", 0, -1));
}
