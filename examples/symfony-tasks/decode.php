<?php

use Ferry\Task\TaskMessage;

/**
 * Makes a task of a message that symfony/messenger put on RabbitMQ with the serializer `messenger.transport.symfony_serializer`: the header `type`
 * names its class, the body is the message as JSON. Stamps are headers of their own.
 */
return function (string $body, array $headers, array $properties): ?TaskMessage {
    if (!isset($headers['type']) || ($properties['content_type'] ?? '') !== 'application/json') {
        return null;                                        // not one of Symfony's, or PHP-serialized
    }
    return new TaskMessage($headers['type'], json_decode($body, true, flags: JSON_THROW_ON_ERROR));
};
