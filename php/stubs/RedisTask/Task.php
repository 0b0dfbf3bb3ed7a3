<?php

namespace Ferry\RedisTask;

/**
 * A plain Redis task. It knows its bytes, and {@see handle()} runs it. A subclass may declare the properties as protected or public; from
 * outside they are set like public ones.
 */
abstract class Task
{
    /** @var string */
    protected $id;

    /** @var array */
    protected $data;

    /** @var int attempts made */
    protected $attempts = 0;

    /** @var int attempts allowed */
    protected $maxAttempts = 3;

    /** @var int seconds until it is due when it is pushed */
    protected $delay = 0;

    /** @var int unix second */
    protected $createdAt;

    /**
     * @param mixed $data an array, which goes into the body as JSON
     */
    public function __construct(mixed $data = null)
    {
    }

    /**
     * Does the work. True: done. False, or an exception: failed, and tried again while attempts are left.
     */
    abstract public function handle(): bool;

    /**
     * Called when the task failed for good. An `Error` comes wrapped in an `Exception`.
     */
    public function failed(\Exception $exception)
    {
    }

    /**
     * The body of the task.
     *
     * @throws \Ferry\InvalidArgumentException when the data cannot be encoded
     */
    public function serialize(): mixed
    {
    }

    /**
     * The task of such a body. Only subclasses of this class are built.
     *
     * @throws \Ferry\PoisonException when the body is no task
     */
    public static function unserialize(string $data): mixed
    {
    }

    /**
     * Its id.
     */
    public function getId(): mixed
    {
    }

    /**
     * Attempts made; inside {@see handle()} this one included.
     */
    public function getAttempts(): int
    {
    }

    /**
     * Counts an attempt.
     */
    public function incrementAttempts(): void
    {
    }

    /**
     * Whether it may be tried again: while fewer attempts were made than allowed. Asked after each failed attempt, and before one beyond
     * `$maxAttempts`. Override it to decide otherwise: false gives the task up at once, true has it tried again.
     */
    public function canRetry(): bool
    {
    }

    /**
     * A property, from outside.
     */
    public function __get(string $name): mixed
    {
    }

    /**
     * Sets one, from outside.
     */
    public function __set(string $name, mixed $value): void
    {
    }
}
