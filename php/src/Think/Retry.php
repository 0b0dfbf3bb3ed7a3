<?php

declare(strict_types=1);

namespace Ferry\Think;

use Ferry\Connection;

/**
 * A failed job that the command `queue:retry` found and is about to push. think-queue encodes its payload again and pushes it, then forgets
 * the failed one; Ferry moves the job in one atomic step, byte for byte.
 */
final class Retry
{
    private bool $isMade = false;

    public function __construct(private string|int $id, private string $queue, private string $payload)
    {
    }

    public function isPushOf(string $payload, string $queue): bool
    {
        return $queue === $this->queue && $payload === self::asPushed($this->payload);
    }

    /** Moves the job; answers its id. */
    public function make(Connection $connection): string|int|null
    {
        $this->isMade = $connection->retryFailed($this->id, $this->queue) > 0;
        return $this->isMade ? $this->id : null;
    }

    /** Whether the job of this id needs no forgetting any more. */
    public function hasMoved(string|int $id): bool
    {
        return $this->isMade && (string) $id === (string) $this->id;
    }

    /** What the command makes of a payload. */
    private static function asPushed(string $payload): string
    {
        $decoded = json_decode($payload, true);
        if (isset($decoded['attempts'])) {
            $decoded['attempts'] = 0;
        }
        return (string) json_encode($decoded);
    }
}
