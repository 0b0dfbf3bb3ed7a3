<?php

declare(strict_types=1);

namespace Ferry;

/** For object jobs that know where and when they run: `queue((new SendMail($user))->onQueue('mail')->delay(60))`. */
trait Queueable
{
    public ?string $connection = null;
    public ?string $queue = null;
    public int|float|string|\DateTimeInterface|\DateInterval|null $delay = null;

    public function onConnection(?string $connection): static
    {
        $this->connection = $connection;
        return $this;
    }

    public function onQueue(?string $queue): static
    {
        $this->queue = $queue;
        return $this;
    }

    public function delay(int|float|string|\DateTimeInterface|\DateInterval|null $delay): static
    {
        $this->delay = $delay;
        return $this;
    }
}
