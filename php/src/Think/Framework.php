<?php

declare(strict_types=1);

namespace Ferry\Think;

use Ferry\Connection;
use Ferry\Queue;

/** What the adapters need from ThinkPHP. One class for each of its generations, and one for an application without it. */
abstract class Framework
{
    private static ?self $current = null;

    /** Why the configuration was refused; told when a connection is used. */
    private ?\Throwable $refusal = null;
    private bool $isConfigured = false;

    public static function current(): self
    {
        return self::$current ??= match (true) {
            class_exists(\think\Service::class) => new Framework\ThinkPhp8(),
            class_exists(\think\Container::class) => new Framework\ThinkPhp51(),
            default => new Framework\ThinkPhp50(),
        };
    }

    /** Another application in the same process, or a test. */
    public static function forget(): void
    {
        self::$current = null;
    }

    /** One file of the configuration, an empty array without it. @return array<string, mixed> */
    abstract public function config(string $name): array;

    /** The namespace of the application, in which short job names are looked for. */
    abstract public function namespace(): string;

    /** Makes a handler as the framework's own job does; null when nothing knows the class. */
    abstract public function handler(string $class, mixed $data): ?object;

    abstract public function report(\Throwable $exception): void;

    abstract public function cached(string $key): mixed;

    abstract public function cache(string $key, mixed $value): void;

    /** A connection of `config/queue.php`, by its name there. */
    public function connection(?string $name = null): Connection
    {
        Extension::demand();
        $this->configure();
        $problem = Settings::problem($this->config('queue'), $this->config('database'), $name ?? (string) ($this->config('queue')['default'] ?? ''));
        if ($problem !== null || $this->refusal !== null) {
            throw $problem === null ? $this->refusal : new \InvalidArgumentException("queue connection `$name`: $problem");
        }
        return Queue::connection($name);
    }

    /** Hands the configuration to the extension, once; handlers of `sync` pushes and of `pop()->fire()` are made alike. A mistake in it must not stop requests that use no queue. */
    public function configure(): void
    {
        if ($this->isConfigured) {
            return;
        }
        $this->isConfigured = true;
        $queue = $this->config('queue');
        // Without config/queue.php, FERRY_URL and the ini setting hold.
        if ($queue === []) {
            return;
        }
        try {
            Queue::configure($this->workerOptions() + Settings::whole($queue, $this->config('database'), $this->family()));
        } catch (\Ferry\Exception $refusal) {
            $this->refusal = $refusal;
        }
    }

    /** How handlers are made and what they get, for workers. @return array<string, mixed> */
    public function workerOptions(): array
    {
        $job = self::hasThinkQueue() ? ['job' => Job::class] : [];
        return $job + ['handler' => fn (string $class, mixed $data) => $this->handler($class, $data), 'namespace' => $this->namespace()];
    }

    /** Whether Composer's think-queue is installed. Its other names may be aliases that the extension makes. */
    public static function hasThinkQueue(): bool
    {
        return class_exists(\think\queue\Connector::class);
    }

    /** The names of the connections that are Ferry's. @return list<string> */
    public function connectionNames(): array
    {
        $connections = $this->config('queue')['connections'] ?? [];
        return array_map('strval', array_keys(array_filter($connections, [Settings::class, 'isOurs'])));
    }

    protected function family(): ?string
    {
        return Settings::family();
    }
}
