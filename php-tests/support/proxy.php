<?php
// A TCP proxy that breaks one exchange on demand: it stands between Ferry and a server, in a process of its own.

require_once __DIR__ . '/child.php';

final class Proxy
{
    private function __construct(public readonly int $port, private Child $process, private string $order)
    {
    }

    public static function before(int $port): self
    {
        $order = temp_dir() . '/proxy-order-' . $port . '-' . bin2hex(random_bytes(3));
        $code = 'require ' . var_export(__DIR__ . '/proxy-loop.php', true) . "; proxy_loop($port, " . var_export($order, true) . ');';
        $process = Child::php($code);
        $process->says("\n");
        return new self((int) $process->out(), $process, $order);
    }

    /** The next request that holds `$text` never reaches the server: its link is closed. */
    public function dropRequest(string $text): void
    {
        $this->give("request $text");
    }

    /** The next request that holds `$text` is carried out, but its link is closed instead of a reply. */
    public function dropReply(string $text): void
    {
        $this->give("reply $text");
    }

    private function give(string $order): void
    {
        file_put_contents("{$this->order}.new", $order);
        rename("{$this->order}.new", $this->order);
    }

    /** Whether the order was carried out. */
    public function isDone(): bool
    {
        clearstatcache();
        return !file_exists($this->order);
    }
}
