<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Connection;

/** The child's end of the pipe on which it tells its master about itself, in lines `name=number`. */
final class Control
{
    /** @var resource|false */
    private $pipe;

    public function __construct(int $descriptor)
    {
        $this->pipe = Quietly::run(fn () => fopen("php://fd/$descriptor", 'w'));
    }

    public function tell(string ...$names): void
    {
        $this->write(implode('', array_map(fn ($name) => "$name=1\n", $names)));
    }

    /** The fleet's counter of stops: the master is told to stop when it grows. */
    public function tellOrders(Connection $connection): void
    {
        try {
            $this->write('stop=' . $connection->flags()['stop'] . "\n");
        } catch (\Ferry\Exception) {
            // The worker works without flags too, and says what is wrong with the broker.
        }
    }

    /** A master that is gone hears nothing, and that stops no job. */
    private function write(string $lines): void
    {
        if ($this->pipe !== false) {
            Quietly::run(fn () => fwrite($this->pipe, $lines));
        }
    }
}
