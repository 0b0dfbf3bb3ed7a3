<?php

namespace Ferry\Task;

/**
 * What a handler says of its task. Made by {@see success()} and {@see failure()}.
 */
class TaskResult
{
    /**
     * Not for callers: it throws.
     */
    public function __construct()
    {
    }

    /**
     * The task is done.
     *
     * @param mixed $data for listeners of `success`
     */
    public static function success(mixed $data = null): TaskResult
    {
    }

    /**
     * It failed; it is tried again, or becomes a dead letter.
     *
     * @param string|null $error why; null and '' are shown as `the handler gave no reason`
     */
    public static function failure(?string $error = null, mixed $data = null): TaskResult
    {
    }

    /**
     * Whether the task is done.
     */
    public function isSuccess(): bool
    {
    }

    /**
     * What was handed over.
     */
    public function getData(): mixed
    {
    }

    /**
     * Why it failed; null when it did not.
     */
    public function getError(): ?string
    {
    }
}
