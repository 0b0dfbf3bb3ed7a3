<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Makes all workers and masters exit after their job. */
final class Stop extends Base
{
    protected function configure(): void
    {
        $this->setName('stop')->setDescription('Stop all workers after their current job')
            ->setHelp(<<<'TEXT'
                Every worker of this connection, on every machine, finishes its running job and exits with 0, and so do the masters of
                <info>work --processes</info> and <info>listen</info>. A supervisor that restarts every process that ends starts them again: stop them there.

                The request is stored in the broker; idle workers follow it within about two seconds. Workers of think-queue ignore it.
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage, or the broker cannot store the request.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->connection($input)->stopWorkers();
        $output->writeln('All workers of this connection exit after their current job.');
        return self::SUCCESS;
    }
}
