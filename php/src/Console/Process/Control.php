<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Connection;

/** The child's end of the pipe on which it reports to its master, in lines `name=number`. */
final class Control
{
    /** @var resource|false */
    private $pipe;

    public function __construct(int $descriptor)
    {
        $this->pipe = Quietly::run(fn () => fopen("php://fd/$descriptor", 'w'));
    }

    public function report(string ...$names): void
    {
        $this->write(implode('', array_map(fn ($name) => "$name=1\n", $names)));
    }

    /** The counter of `ferry stop`: the master stops when it grows. */
    public function reportStops(Connection $connection): void
    {
        try {
            $this->write('stop=' . $connection->flags()['stop'] . "\n");
        } catch (\Ferry\Exception) {
            // The worker runs without flags too, and logs what is wrong with the broker.
        }
    }

    /** That the master is gone does not stop a job. */
    private function write(string $lines): void
    {
        if ($this->pipe !== false) {
            Quietly::run(fn () => fwrite($this->pipe, $lines));
        }
    }
}
