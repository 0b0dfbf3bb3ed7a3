<?php

namespace Shop\Stage;

use RuntimeException;

/** Free ports of the loopback. Somebody else may still take one before it is used; who uses it tries again. */
final class Ports
{
    public static function one(): int
    {
        return self::bound(0) ?? throw new RuntimeException('the loopback has no free port');
    }

    /** A port with two free ones behind it. */
    public static function three(): int
    {
        do {
            $port = self::one();
        } while ($port > 65533 || self::bound($port + 1) === null || self::bound($port + 2) === null);
        return $port;
    }

    private static function bound(int $port): ?int
    {
        $socket = @stream_socket_server("tcp://127.0.0.1:$port");
        return $socket === false ? null : (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
    }
}
