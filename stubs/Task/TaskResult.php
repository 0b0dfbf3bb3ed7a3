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
     * @param string|\Throwable|null $error why; null and '' are shown as `the handler gave no reason`. Of an exception the dead letter gets message and
     *     trace.
     */
    public static function failure(mixed $error = null, mixed $data = null): TaskResult
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
     * Why it failed: what was passed to {@see failure()}; null if it did not.
     *
     * @return string|\Throwable|null
     */
    public function getError(): mixed
    {
    }
}
