<?php
// The process behind `Proxy`: it prints its ports, then carries bytes until it is killed.

function proxy_loop(int $port, string $order): never
{
    (new ProxyLoop($port, $order))->run();
}

final class ProxyLoop
{
    /** @var resource */
    private $listener;
    /** @var resource the port on which `Proxy` says how links are to be */
    private $control;
    /** @var array<int, resource> */
    private array $bosses = [];
    /** @var array<int, ProxyLink> by the id of either stream */
    private array $links = [];
    /** @var list<string> ways on which nothing is carried; what comes waits in the kernel */
    private array $silent = [];
    /** Whether new links are cut at once. */
    private bool $away = false;

    public function __construct(private int $port, private string $order)
    {
        $this->listener = stream_socket_server('tcp://127.0.0.1:0');
        $this->control = stream_socket_server('tcp://127.0.0.1:0');
        echo self::portOf($this->listener), ' ', self::portOf($this->control), "\n";
    }

    public function run(): never
    {
        while (true) {
            $readable = [$this->listener, $this->control, ...array_values($this->bosses), ...$this->audible()];
            $none = null;
            stream_select($readable, $none, $none, 5);
            foreach ($readable as $stream) {
                match (true) {
                    $stream === $this->listener => $this->join(),
                    $stream === $this->control => $this->greet(),
                    isset($this->bosses[(int) $stream]) => $this->hear($stream),
                    isset($this->links[(int) $stream]) => $this->carry($this->links[(int) $stream], $stream),
                    default => null,
                };
            }
        }
    }

    /** @return list<resource> the streams whose bytes are carried on */
    private function audible(): array
    {
        $streams = [];
        foreach ($this->links as $id => $link) {
            $way = $id === (int) $link->client ? 'up' : 'down';
            if (!in_array($way, $this->silent, true) && !in_array($way, $link->deaf, true)) {
                $streams[] = $way === 'up' ? $link->client : $link->server;
            }
        }
        return $streams;
    }

    private function join(): void
    {
        $client = stream_socket_accept($this->listener);
        if ($this->away) {
            reset_link($client);
            return;
        }
        $server = @stream_socket_client("tcp://127.0.0.1:{$this->port}");
        if ($server === false) {
            reset_link($client);
            return;
        }
        stream_set_blocking($client, false);
        stream_set_blocking($server, false);
        $this->links[(int) $client] = $this->links[(int) $server] = new ProxyLink($client, $server);
    }

    private function greet(): void
    {
        $boss = stream_socket_accept($this->control);
        $this->bosses[(int) $boss] = $boss;
    }

    /** @param resource $boss */
    private function hear($boss): void
    {
        $line = fgets($boss);
        if ($line === false) {
            unset($this->bosses[(int) $boss]);
            fclose($boss);
            return;
        }
        $this->obey(...explode(' ', trim($line)));
        fwrite($boss, "done\n");
    }

    private function obey(string $what, string ...$with): void
    {
        match ($what) {
            'open' => [$this->silent, $this->away] = [[], false],
            'silence' => $this->silent = $with,
            'lose' => array_map(fn ($link) => $link->deaf = $with, $this->links),
            'cut' => $this->cut(),
            'away' => $this->cut() ?? $this->away = true,
            'to' => $this->port = (int) $with[0],
        };
    }

    private function cut(): void
    {
        foreach ($this->links as $id => $link) {
            if ($id === (int) $link->client) {
                reset_link($link->client);
                reset_link($link->server);
            }
        }
        $this->links = [];
    }

    /** @param resource $stream the side that has something to say */
    private function carry(ProxyLink $link, $stream): void
    {
        $bytes = fread($stream, 1 << 20);
        $from_client = $stream === $link->client;
        $close = $bytes === '' && feof($stream);
        if ($bytes !== '' && $bytes !== false) {
            [$what, $text] = explode(' ', (string) @file_get_contents($this->order), 2) + ['', ''];
            if (!$from_client && $link->mute) {
                $close = true;
            } elseif ($from_client && $text !== '' && str_contains($bytes, $text)) {
                unlink($this->order);
                $close = $what === 'request';
                if ($what === 'reply') {
                    $link->mute = true;
                    send($link->server, $bytes);
                }
            } else {
                send($from_client ? $link->server : $link->client, $bytes);
            }
        }
        if ($close) {
            unset($this->links[(int) $link->client], $this->links[(int) $link->server]);
            fclose($link->client);
            fclose($link->server);
        }
    }

    /** @param resource $socket */
    private static function portOf($socket): string
    {
        return substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
    }
}

/** A client and the server behind it. */
final class ProxyLink
{
    /** Whether the server's next reply is dropped, and the link with it. */
    public bool $mute = false;
    /** @var list<string> ways on which this link never carries anything again */
    public array $deaf = [];

    /**
     * @param resource $client
     * @param resource $server
     */
    public function __construct(public $client, public $server)
    {
    }
}

/** Ends a connection without a goodbye: the other side sees a reset. @param resource $stream */
function reset_link($stream): void
{
    socket_set_option(socket_import_stream($stream), SOL_SOCKET, SO_LINGER, ['l_onoff' => 1, 'l_linger' => 0]);
    fclose($stream);
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
