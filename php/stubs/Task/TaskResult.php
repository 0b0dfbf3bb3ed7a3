<?php

namespace Ferry\Task;

/**
 * The result of a handler. Created by {@see success()} and {@see failure()}.
 */
class TaskResult
{
    /**
     * Not to be called: it throws.
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
     * The task failed; it is retried, or becomes a dead letter.
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
     * The data that was passed.
     */
    public function getData(): mixed
    {
    }

    /**
     * Why it failed; null if it did not.
     */
    public function getError(): ?string
    {
    }
}
