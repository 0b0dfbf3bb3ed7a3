<?php
// A TCP proxy that breaks one exchange, or whole links, on demand: it stands between Ferry and a server, in a process of its own.

require_once __DIR__ . '/child.php';

final class Proxy
{
    /** @param resource $control */
    private function __construct(public readonly int $port, private Child $process, private string $order, private $control)
    {
    }

    public static function before(int $port): self
    {
        $order = temp_dir() . '/proxy-order-' . $port . '-' . bin2hex(random_bytes(3));
        $code = 'require ' . var_export(__DIR__ . '/proxy-loop.php', true) . "; proxy_loop($port, " . var_export($order, true) . ');';
        $process = Child::php($code);
        $process->says("\n");
        [$own, $control] = array_map('intval', explode(' ', $process->out()));
        return new self($own, $process, $order, stream_socket_client("tcp://127.0.0.1:$control"));
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

    /**
     * All links fall silent, new ones too, and none is closed: `up` towards the server, `down` towards the client. What is sent meanwhile
     * arrives when the proxy opens again, however late, as over a network that was split.
     */
    public function silence(string ...$ways): void
    {
        $this->tell('silence', ...$ways);
    }

    /** The links that there are fall silent for ever and are not closed; new ones are well. As behind a firewall that forgot them. */
    public function lose(string ...$ways): void
    {
        $this->tell('lose', ...$ways);
    }

    /** All links are reset, on both sides; new ones are well. */
    public function cut(): void
    {
        $this->tell('cut');
    }

    /** All links are reset, and new ones too, until the proxy opens. */
    public function away(): void
    {
        $this->tell('away');
    }

    /** The end of silence and absence. */
    public function open(): void
    {
        $this->tell('open');
    }

    /** New links lead to this port. Those that there are stay. */
    public function leadTo(int $port): void
    {
        $this->tell('to', (string) $port);
    }

    /** Tells the process and waits until it has done so. */
    private function tell(string ...$words): void
    {
        fwrite($this->control, implode(' ', $words) . "\n");
        $answer = fgets($this->control);
        if ($answer !== "done\n") {
            throw new RuntimeException('the proxy ended: ' . $this->process->err());
        }
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
