<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Let all workers finish their job and leave, for good. */
final class Stop extends Base
{
    protected function configure(): void
    {
        $this->setName('stop')->setDescription('Let all workers finish their job and leave, for good')
            ->setHelp(<<<'TEXT'
                Every worker on this connection, on every machine, finishes its running job and leaves with 0, and so do the masters of
                <info>work --processes</info> and <info>listen</info>. A supervisor that restarts whatever ends starts them again: use its own stop there.

                The order is kept in the broker; idle workers obey within about two seconds. Workers of think-queue do not know it.
                Exit codes: 0 done, 1 the broker did not answer or cannot, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->connection($input)->stopWorkers();
        $output->writeln('All workers of this connection leave after their job.');
        return self::SUCCESS;
    }
}
