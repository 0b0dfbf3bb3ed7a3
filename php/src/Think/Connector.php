<?php

declare(strict_types=1);

namespace Ferry\Think;

use Ferry\Connection;

/**
 * A queue connection of ThinkPHP whose jobs go by way of Ferry: `'type' => 'ferry'` in `config/queue.php`, or the name of this class;
 * in v1 and v2 `'connector' => Ferry\Think\Connector::class`. The other keys stay as they are.
 *
 * Without the extension, on a developer's Windows or macOS for example, think-queue's own driver takes its place.
 */
class Connector extends \think\queue\Connector
{
    private ?Connection $native = null;

    /** What `queue:retry` is about to push. */
    private ?Retry $retry = null;

    /** v1 and v2: the connector that takes the place of this one. */
    private ?\think\queue\Connector $substitute = null;

    /** @param array<string, mixed> $options */
    public function __construct($options = [])
    {
        $this->options = (array) $options;
        if (!Extension::isLoaded()) {
            $this->substitute = Fallback::connector($this->options);
        }
    }

    /** v3 makes its connectors here. @param array<string, mixed> $config */
    public static function __make($config)
    {
        return Extension::isLoaded() ? new self($config) : Fallback::connector((array) $config);
    }

    /** The connection of the extension. */
    public function native(): Connection
    {
        return $this->native ??= Framework::current()->connection($this->connection ?? null);
    }

    public function size($queue = null)
    {
        return $this->native()->size($queue);
    }

    public function push($job, $data = '', $queue = null)
    {
        return $this->target()->push($job, $data, $queue);
    }

    /** @param array<mixed> $options */
    public function pushRaw($payload, $queue = null, array $options = [])
    {
        [$retry, $this->retry] = [$this->retry, null];
        if ($retry !== null && $retry->isPushOf($payload, (string) $queue)) {
            return $retry->make($this->native());
        }
        return $this->native()->pushRaw($payload, $queue);
    }

    public function later($delay, $job, $data = '', $queue = null)
    {
        return $this->target()->later($delay, $job, $data, $queue);
    }

    public function bulk($jobs, $data = '', $queue = null)
    {
        return $this->native()->bulk((array) $jobs, $data, $queue);
    }

    public function pop($queue = null)
    {
        $job = $this->target()->pop($queue);
        return $job instanceof \Ferry\Job ? Job::of($job) : $job;
    }

    /** The next push of this payload retries a failed job. */
    public function expect(Retry $retry): void
    {
        $this->retry = $retry;
    }

    private function target(): Connection|\think\queue\Connector
    {
        return $this->substitute ?? $this->native();
    }

    /** Everything else that a connection of Ferry can do: `stats()`, `failed()`, `pause()`, ... */
    public function __call(string $method, array $arguments): mixed
    {
        return $this->target()->$method(...$arguments);
    }
}
