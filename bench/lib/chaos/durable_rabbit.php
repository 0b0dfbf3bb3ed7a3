<?php

// A RabbitMQ node that is killed, asked to leave, made to close connections, and short of memory for a while.

declare(strict_types=1);

namespace Bench;

final class DurableRabbit implements Faults
{
    /** Seconds of a memory alarm: longer than a push waits for its confirm. */
    private const ALARM = 6.0;
    /** Seconds without a heartbeat after which a stopped worker loses its connection at the latest: three times that. */
    private const HEARTBEAT = 3;

    /** Seconds after which a command is given up and given again. */
    private const CONTROL = 30.0;

    private RabbitServer $server;
    /** @var list<array{string, float, float}> */
    private array $log = [];
    /** @var array{string, float, resource, list<string>}|null the command under way */
    private ?array $command = null;
    /** When the alarm is to end. */
    private ?float $alarmUntil = null;
    private float $alarmSince = 0.0;

    public function __construct(string $dir)
    {
        $this->server = RabbitServer::start($dir, false);
    }

    public function url(): string
    {
        return "amqp://guest:guest@127.0.0.1:{$this->server->port}/?read_write_timeout=3&heartbeat=" . self::HEARTBEAT . '&retry_after=' . Plan::RETRY_AFTER;
    }

    public function begin(string $fault): void
    {
        wait_until($this->poll(...), 'the fault before to end', 120);
        match ($fault) {
            'kill' => $this->restart($fault, SIGKILL),
            'restart' => $this->restart($fault, SIGTERM),
            'close all' => $this->run($fault, 'close_all_connections', 'chaos'),
            'close one' => $this->run($fault, 'eval', 'rabbit_networking:close_connection(hd(rabbit_networking:connections()), "chaos").'),
            'alarm' => $this->run($fault, 'set_vm_memory_high_watermark', 'absolute', '1MB'),
        };
    }

    public function poll(): bool
    {
        $this->endCommand();
        if ($this->alarmUntil !== null && $this->command === null && microtime(true) >= $this->alarmUntil) {
            $this->alarmUntil = null;
            $this->run('alarm over', 'set_vm_memory_high_watermark', '0.4');
        }
        return $this->command === null && $this->alarmUntil === null;
    }

    public function log(): array
    {
        return $this->log;
    }

    public function stop(): void
    {
        if ($this->command !== null) {
            proc_terminate($this->command[2], SIGKILL);
            proc_close($this->command[2]);
        }
        $this->server->stop();
    }

    private function restart(string $fault, int $signal): void
    {
        $since = microtime(true);
        $this->server->restart($signal);
        $this->log[] = [$fault, $since, microtime(true)];
    }

    private function run(string $fault, string ...$arguments): void
    {
        $this->command = [$fault, microtime(true), $this->server->control(...$arguments), $arguments];
    }

    private function endCommand(): void
    {
        if ($this->command === null) {
            return;
        }
        [$fault, $since, $process, $arguments] = $this->command;
        $status = proc_get_status($process);
        if ($status['running'] && microtime(true) > $since + self::CONTROL) {
            // It found no way to a node that came up a moment ago.
            proc_terminate($process, SIGKILL);
            proc_close($process);
            $this->command = [$fault, microtime(true), $this->server->control(...$arguments), $arguments];
            return;
        }
        if ($status['running']) {
            return;
        }
        $this->command = null;
        proc_close($process);
        if ($status['exitcode'] !== 0) {
            throw new \RuntimeException("rabbitmqctl for `$fault` left with $status[exitcode]");
        }
        if ($fault === 'alarm') {
            [$this->alarmSince, $this->alarmUntil] = [$since, microtime(true) + self::ALARM];
            return;
        }
        $this->log[] = $fault === 'alarm over' ? ['alarm', $this->alarmSince, microtime(true)] : [$fault, $since, microtime(true)];
    }
}
