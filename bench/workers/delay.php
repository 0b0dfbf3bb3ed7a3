<?php

// Carries TCP connections to a port and lets every byte wait for some time on its way: half a round trip each.
//   php delay.php PORT MILLISECONDS      prints the port it listens on, and works until its input ends

declare(strict_types=1);

[, $to, $milliseconds] = $argv;
$wait = (float) $milliseconds / 2000;
$listener = stream_socket_server('tcp://127.0.0.1:0');
echo substr(strrchr(stream_socket_get_name($listener, false), ':'), 1), "\n";

$other = [];
$late = [];
while (true) {
    $now = microtime(true);
    foreach ($late as $key => [$due, $stream, $bytes]) {
        if ($due > $now) {
            break;
        }
        unset($late[$key]);
        if ($bytes !== '') {
            @fwrite($stream, $bytes);
            continue;
        }
        @stream_socket_shutdown($stream, STREAM_SHUT_WR);
    }
    $next = $late === [] ? 1.0 : max(0.0, reset($late)[0] - microtime(true));
    $readable = [STDIN, $listener, ...array_column($other, 0)];
    $none = null;
    @stream_select($readable, $none, $none, (int) $next, (int) (($next - (int) $next) * 1e6));
    foreach ($readable as $stream) {
        if ($stream === STDIN) {
            exit(0);
        }
        if ($stream === $listener) {
            $client = stream_socket_accept($listener);
            $server = stream_socket_client("tcp://127.0.0.1:$to");
            foreach ([$client, $server] as $end) {
                stream_set_blocking($end, false);
                socket_set_option(socket_import_stream($end), SOL_TCP, TCP_NODELAY, 1);
            }
            $other[(int) $client] = [$client, $server];
            $other[(int) $server] = [$server, $client];
            continue;
        }
        $bytes = (string) @fread($stream, 65536);
        $late[] = [microtime(true) + $wait, $other[(int) $stream][1], $bytes];
        if ($bytes === '' && feof($stream)) {
            unset($other[(int) $stream]);
        }
    }
}
