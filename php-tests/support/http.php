<?php
// Many HTTP requests at once, each over a connection of its own. Not here: anything a browser does.

require_once __DIR__ . '/boot.php';

/**
 * Asks for every path, `$at_once` at a time, and answers [status, body] for each; status 0 when the answer broke off.
 * `$answered` is called after each answer with how many there are so far.
 *
 * @param array<int|string, string> $paths
 * @return array<int|string, array{int, string}>
 */
function http_all(string $socket, array $paths, int $at_once = 16, ?callable $answered = null): array
{
    $answers = $links = $texts = [];
    $waiting = $paths;
    while ($waiting !== [] || $links !== []) {
        while ($waiting !== [] && count($links) < $at_once) {
            $key = array_key_first($waiting);
            $links[$key] = stream_socket_client("unix://$socket", $code, $text, 10);
            fwrite($links[$key], "GET {$waiting[$key]} HTTP/1.0\r\nHost: test\r\nConnection: close\r\n\r\n");
            stream_set_blocking($links[$key], false);
            $texts[$key] = '';
            unset($waiting[$key]);
        }
        $readable = $links;
        $none = null;
        if (stream_select($readable, $none, $none, 30) === 0) {
            throw new RuntimeException('no answer within 30 s to ' . implode(', ', array_intersect_key($paths, $links)));
        }
        foreach ($readable as $key => $link) {
            $texts[$key] .= (string) fread($link, 1 << 16);
            if (feof($link)) {
                fclose($link);
                unset($links[$key]);
                $answers[$key] = http_answer($texts[$key]);
                $answered && $answered(count($answers));
            }
        }
    }
    ksort($answers);
    return $answers;
}

/** @return array{int, string} */
function http_get(string $socket, string $path): array
{
    return http_all($socket, [$path])[0];
}

/** @return array{int, string} */
function http_answer(string $text): array
{
    [$head, $body] = explode("\r\n\r\n", $text, 2) + ['', ''];
    $length = preg_match('/^Content-Length: (\d+)/mi', $head, $found) ? (int) $found[1] : strlen($body);
    return [$length === strlen($body) ? (int) (explode(' ', $head)[1] ?? 0) : 0, $body];
}
