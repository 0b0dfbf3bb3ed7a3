<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;

/** Queues as arguments, or as --queue like everywhere else. */
trait NamesQueues
{
    /** @return list<string|null> */
    private function named(InputInterface $input): array
    {
        return $input->getArgument('queues') ?: $this->connections->queues($input);
    }
}
