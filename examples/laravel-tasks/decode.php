<?php

use Ferry\Task\TaskMessage;

/**
 * Makes a task of a job that Laravel (vladimir-yuldashev/laravel-queue-rabbitmq) put on RabbitMQ: its type is the class of the job, its payload the
 * properties of the job. The class itself is not needed here, and no object is built: `allowed_classes` is false.
 */
return function (string $body, array $headers, array $properties): ?TaskMessage {
    $envelope = json_decode($body, true);
    if (!isset($envelope['uuid'], $envelope['data']['commandName'], $envelope['data']['command'])) {
        return null;                                        // not one of Laravel's
    }
    $job = unserialize($envelope['data']['command'], ['allowed_classes' => false]);
    if (!is_object($job)) {
        throw new UnexpectedValueException('the job is encrypted, or its bytes are damaged');
    }
    $fields = [];
    foreach ((array) $job as $name => $value) {
        $parts = explode("\0", (string) $name);             // the name of a private property is "\0Class\0name"
        $fields[end($parts)] = $value;
    }
    // Null: connection, queue, delay and the like, which each job of Laravel has.
    $payload = array_filter($fields, fn (mixed $value, string $name) => $value !== null && $name !== '__PHP_Incomplete_Class_Name', ARRAY_FILTER_USE_BOTH);
    $task = new TaskMessage($envelope['data']['commandName'], $payload, maxRetries: $envelope['maxTries'] ?? 3);
    $task->taskId = $envelope['uuid'];
    $task->currentRetry = $headers['laravel']['attempts'] ?? 0;
    if (isset($envelope['timeout'])) {
        $task->metadata['timeout'] = $envelope['timeout'];
    }
    return $task;
};
