<?php

declare(strict_types=1);

namespace Ferry\Console;

use Ferry\Connection;
use Ferry\Task\TaskConsumer;
use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskHandlerRegistry;

/** A consumer of tasks with the methods and option names of a worker, so that `work` runs either. */
final class TaskWorker
{
    /** Options of `work` that mean the same here, and what a consumer calls them. */
    private const OPTIONS = [
        'queue' => 'queues', 'prefetch' => 'prefetch_count', 'max_jobs' => 'max_tasks', 'max_time' => 'max_time', 'memory' => 'memory',
        'stop_when_empty' => 'stop_when_empty', 'timeout' => 'timeout', 'warn_before' => 'warn_before', 'grace' => 'grace',
        'stop_timeout' => 'stop_timeout', 'max_outage' => 'max_outage', 'health_file' => 'health_file', 'log' => 'log',
        'log_level' => 'log_level', 'status' => 'status', 'parent' => 'parent', 'decode' => 'decode',
    ];

    /** The events after which a worker has ended a job. */
    public const ENDS = ['success', 'retry', 'failed'];

    private TaskConsumer $consumer;

    /** @param array<string, mixed> $options as for a worker, without `connection` */
    public function __construct(Connection $connection, TaskHandlerRegistry $registry, array $options)
    {
        $this->consumer = new TaskConsumer($connection, $registry, self::translated($options));
    }

    /** @param array<string, mixed> $options @return array<string, mixed> */
    private static function translated(array $options): array
    {
        if ($options['once'] ?? false) {
            $options = ['max_jobs' => 1, 'stop_when_empty' => true] + $options;
        }
        $known = [];
        foreach (array_diff_key($options, ['once' => true]) as $name => $value) {
            $target = self::OPTIONS[$name] ?? throw new Refusal('tasks have no option --' . strtr((string) $name, '_', '-')
                . ': their tries, pauses and handlers are those of the message and the registry', ExitCode::WRONG);
            $known[$target] = $name === 'queue' ? Connections::names((string) $value) : $value;
        }
        return $known;
    }

    /**
     * The handlers that a file names.
     *
     * @param mixed $answer what the file returned: a registry, or a list of handlers, each an object or the name of a class
     * @param object|null $container a PSR-11 container that makes the classes it knows
     */
    public static function registry(mixed $answer, ?object $container, string $file): TaskHandlerRegistry
    {
        if ($answer instanceof TaskHandlerRegistry) {
            return $answer;
        }
        if (!is_iterable($answer)) {
            throw new Refusal("$file must return a Ferry\\Task\\TaskHandlerRegistry, or a list of handlers or their classes, not " . get_debug_type($answer), ExitCode::WRONG);
        }
        $registry = new TaskHandlerRegistry();
        foreach ($answer as $handler) {
            $registry->register(is_string($handler) ? self::made($handler, $container, $file) : $handler);
        }
        return $registry;
    }

    /** @param mixed $answer what the file returned */
    public static function decoder(mixed $answer, string $file): callable
    {
        return is_callable($answer) ? $answer
            : throw new Refusal("$file must return a callable that takes body, headers and properties of a message, not " . get_debug_type($answer), ExitCode::WRONG);
    }

    private static function made(string $class, ?object $container, string $file): object
    {
        if ($container !== null && $container->has($class)) {
            return $container->get($class);
        }
        if (!is_a($class, TaskHandlerInterface::class, true)) {
            throw new Refusal("$file names $class, which is no class that implements Ferry\\Task\\TaskHandlerInterface", ExitCode::WRONG);
        }
        return new $class();
    }

    public function on(string $event, callable $listener): void
    {
        $this->consumer->on($event, $listener);
    }

    public function pause(): void
    {
        $this->consumer->pause();
    }

    public function stop(): void
    {
        $this->consumer->stop();
    }

    public function run(): int
    {
        return $this->consumer->consumeAll();
    }
}
