<?php
// The process behind `Proxy`. It prints its port, then carries bytes until it is killed.

function proxy_loop(int $port, string $order): never
{
    $listener = stream_socket_server('tcp://127.0.0.1:0');
    echo substr(strrchr(stream_socket_get_name($listener, false), ':'), 1), "\n";
    /** @var array<int, array{resource, resource}> $links client and server by the id of either */
    $links = [];
    /** @var array<int, true> $mute ids of servers whose next reply is dropped */
    $mute = [];
    while (true) {
        $readable = [$listener, ...array_map(fn ($id, $pair) => (int) $pair[0] === $id ? $pair[0] : $pair[1], array_keys($links), $links)];
        $none = null;
        stream_select($readable, $none, $none, 5);
        foreach ($readable as $stream) {
            if ($stream === $listener) {
                $client = stream_socket_accept($listener);
                $server = stream_socket_client("tcp://127.0.0.1:$port");
                stream_set_blocking($client, false);
                stream_set_blocking($server, false);
                $links[(int) $client] = $links[(int) $server] = [$client, $server];
                continue;
            }
            if (!isset($links[(int) $stream])) {
                continue;
            }
            [$client, $server] = $links[(int) $stream];
            $bytes = fread($stream, 1 << 20);
            $from_client = $stream === $client;
            $close = $bytes === '' && feof($stream);
            if ($bytes !== '' && $bytes !== false) {
                [$what, $text] = explode(' ', (string) @file_get_contents($order), 2) + ['', ''];
                if (!$from_client && isset($mute[(int) $server])) {
                    $close = true;
                } elseif ($from_client && $text !== '' && str_contains($bytes, $text)) {
                    unlink($order);
                    $close = $what === 'request';
                    if ($what === 'reply') {
                        $mute[(int) $server] = true;
                        send($server, $bytes);
                    }
                } else {
                    send($from_client ? $server : $client, $bytes);
                }
            }
            if ($close) {
                unset($links[(int) $client], $links[(int) $server], $mute[(int) $server]);
                fclose($client);
                fclose($server);
            }
        }
    }
}

/** @param resource $stream */
function send($stream, string $bytes): void
{
    while ($bytes !== '') {
        $sent = @fwrite($stream, $bytes);
        if ($sent === false) {
            return;
        }
        $bytes = substr($bytes, $sent);
        if ($bytes !== '') {
            $none = null;
            $ready = [$stream];
            stream_select($none, $ready, $none, 1);
        }
    }
}
