<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Let all workers finish their job and start afresh. */
final class Restart extends Base
{
    protected function configure(): void
    {
        $this->setName('restart')->setDescription('Let all workers finish their job and start afresh')
            ->setHelp(<<<'TEXT'
                Every worker on this connection, on every machine, finishes its running job and leaves with 0. <info>work --processes</info>, systemd or
                Supervisor start it again, with the code that is there by then. So: deploy, then <info>ferry restart</info>.

                The order is kept in the broker; idle workers obey within about two seconds. Workers of think-queue do not know it.
                Exit codes: 0 done, 1 the broker did not answer or cannot, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->connection($input)->restartWorkers();
        $output->writeln('All workers of this connection leave after their job; what keeps them alive starts them again.');
        return self::SUCCESS;
    }
}
