<?php

namespace Ferry;

/**
 * The handler of object jobs: unserializes the object, calls its `handle()`, and deletes the job unless it was settled
 * (`worker/worker-object-job`). Payloads name it `think\queue\CallQueuedHandler@call`.
 */
class CallQueuedHandler
{
    /** A handler that unserializes any class. A worker with `allowed_classes` creates a stricter one. */
    public function __construct()
    {
    }

    /**
     * Runs an object job.
     *
     * @param Job|object $job any object with `delete()` and `isDeletedOrReleased()`
     * @param array{commandName?: string, command: string} $data
     * @throws PoisonException there is no serialized object in `command`
     * @throws HandlerNotFoundException its class does not exist, or is not allowed
     * @throws \Throwable what `handle()` throws
     */
    public function call(mixed $job, mixed $data): void
    {
    }

    /**
     * Calls the object's `failed()`, when it has one; without arguments, as think-queue does.
     *
     * @param array{commandName?: string, command: string} $data
     * @param \Throwable|null $e accepted and not passed on (`worker/worker-object-job-fails`)
     * @throws PoisonException there is no serialized object in `command`
     * @throws HandlerNotFoundException its class does not exist, or is not allowed
     */
    public function failed(mixed $data, mixed $e = null): void
    {
    }
}
