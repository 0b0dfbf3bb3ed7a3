<?php

// A php-fpm of our own on a unix socket, and as much of FastCGI as one request needs.

declare(strict_types=1);

namespace Bench;

final class Fpm
{
    private function __construct(private $process, private string $socket)
    {
    }

    /** The php-fpm of this PHP; null when it is not installed. */
    public static function program(): ?string
    {
        $name = '/usr/sbin/php-fpm' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
        return is_executable($name) ? $name : null;
    }

    /** Starts a pool of `$children`, with the extension. */
    public static function start(string $dir, int $children): self
    {
        $socket = "$dir/fpm.sock";
        $lines = ['[global]', "error_log = $dir/fpm.log", 'daemonize = no', '[bench]', "listen = $socket", 'pm = static', "pm.max_children = $children", 'clear_env = no', 'user = root', 'group = root'];
        file_put_contents("$dir/fpm.conf", implode("\n", $lines) . "\n");
        $command = [self::program(), '-R', '-O', '-y', "$dir/fpm.conf", '-d', 'extension=' . extension()];
        $process = proc_open($command, [1 => ['file', "$dir/fpm.out", 'w'], 2 => ['file', "$dir/fpm.out", 'w']], $pipes);
        if ($process === false) {
            throw new \RuntimeException('cannot start php-fpm');
        }
        $fpm = new self($process, $socket);
        wait_until(fn () => file_exists($socket), 'php-fpm to listen');
        return $fpm;
    }

    public function stop(): void
    {
        proc_terminate($this->process);
        proc_close($this->process);
    }

    /** Runs a script and answers what it printed. */
    public function get(string $script, string $query): string
    {
        $link = stream_socket_client("unix://$this->socket", $code, $error, 5) ?: throw new \RuntimeException($error);
        stream_set_timeout($link, 30);
        $parameters = '';
        $given = ['SCRIPT_FILENAME' => $script, 'QUERY_STRING' => $query, 'REQUEST_METHOD' => 'GET'];
        foreach ($given as $name => $value) {
            $parameters .= pack('NN', 0x80000000 | strlen($name), 0x80000000 | strlen($value)) . $name . $value;
        }
        fwrite($link, self::record(1, "\0\1\0\0\0\0\0\0") . self::record(4, $parameters) . self::record(4, '') . self::record(5, ''));
        $printed = '';
        while (strlen($head = (string) stream_get_contents($link, 8)) === 8) {
            ['type' => $type, 'length' => $length, 'padding' => $padding] = unpack('Cversion/Ctype/nid/nlength/Cpadding', $head);
            $content = $length > 0 ? stream_get_contents($link, $length) : '';
            $padding > 0 && stream_get_contents($link, $padding);
            if ($type === 6) {
                $printed .= $content;
            }
            if ($type === 3) {
                break;
            }
        }
        fclose($link);
        return explode("\r\n\r\n", $printed, 2)[1] ?? '';
    }

    private static function record(int $type, string $content): string
    {
        return pack('CCnnCC', 1, $type, 1, strlen($content), 0, 0) . $content;
    }
}
