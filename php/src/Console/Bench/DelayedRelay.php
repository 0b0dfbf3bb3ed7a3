<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

/** The loop of a {@see DelayProxy}. Ends with its process, or when the process that started it has ended. */
final class DelayedRelay
{
    private const CHUNK = 1 << 16;
    private const LONGEST_WAIT = 0.2;

    /** @var array<int, resource> */
    private array $sockets = [];
    /** @var array<int, int> the other end of a socket */
    private array $other = [];
    /** @var array<int, list<array{float, string}>> what waits to be written to a socket: when, bytes; an empty string ends it */
    private array $waiting = [];

    /** @param resource $server @param float $delay seconds each way */
    public function __construct(private $server, private string $target, private float $delay)
    {
    }

    public function run(): never
    {
        $parent = posix_getppid();
        while (posix_getppid() === $parent) {
            $this->step();
        }
        posix_kill(posix_getpid(), SIGKILL);
        exit;
    }

    private function step(): void
    {
        $wait = $this->wait();
        $read = [$this->server, ...array_values($this->sockets)];
        $none = null;
        if (@stream_select($read, $none, $none, 0, (int) ($wait * 1e6)) > 0) {
            array_map(fn ($socket) => $socket === $this->server ? $this->accept() : $this->read($socket), $read);
        }
        foreach (array_keys($this->waiting) as $id) {
            $this->writeDue($id);
        }
    }

    /** Seconds until something is due. */
    private function wait(): float
    {
        $due = array_map(fn ($queue) => $queue[0][0], array_filter($this->waiting));
        return $due === [] ? self::LONGEST_WAIT : max(0, min(min($due) - microtime(true), self::LONGEST_WAIT));
    }

    private function accept(): void
    {
        $client = @stream_socket_accept($this->server, 0);
        $server = $client === false ? false : @stream_socket_client($this->target, $code, $text, 5, STREAM_CLIENT_CONNECT, DelayProxy::noDelay());
        if ($client === false || $server === false) {
            return;
        }
        foreach ([[$client, $server], [$server, $client]] as [$one, $other]) {
            stream_set_blocking($one, false);
            stream_set_read_buffer($one, 0);
            $this->sockets[(int) $one] = $one;
            $this->other[(int) $one] = (int) $other;
        }
    }

    /** @param resource $socket */
    private function read($socket): void
    {
        $bytes = (string) @fread($socket, self::CHUNK);
        if ($bytes === '' && !feof($socket)) {
            return;
        }
        $this->waiting[$this->other[(int) $socket]][] = [microtime(true) + $this->delay, $bytes];
        if ($bytes === '') {
            unset($this->sockets[(int) $socket]);
        }
    }

    private function writeDue(int $id): void
    {
        $now = microtime(true);
        while (($this->waiting[$id][0][0] ?? INF) <= $now) {
            $bytes = $this->waiting[$id][0][1];
            $socket = $this->sockets[$id] ?? null;
            if ($bytes === '' || $socket === null) {
                unset($this->sockets[$id], $this->waiting[$id]);
                $socket === null ?: fclose($socket);
                return;
            }
            $written = (int) @fwrite($socket, $bytes);
            if ($written < strlen($bytes)) {
                $this->waiting[$id][0][1] = substr($bytes, $written);
                return;
            }
            array_shift($this->waiting[$id]);
        }
    }
}
