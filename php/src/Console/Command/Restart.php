<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Makes all workers exit after their job, for whatever supervises them to start them again. */
final class Restart extends Base
{
    protected function configure(): void
    {
        $this->setName('restart')->setDescription('Restart all workers after their current job')
            ->setHelp(<<<'TEXT'
                Every worker of this connection, on every machine, finishes its running job and exits with 0. <info>work --processes</info>, systemd or
                Supervisor start it again with the new code: deploy, then <info>ferry restart</info>.

                The request is stored in the broker; idle workers follow it within about two seconds. Workers of think-queue ignore it.
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage, or the broker cannot store the request.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->connection($input)->restartWorkers();
        $output->writeln('All workers of this connection exit after their current job; their supervisor starts them again.');
        return self::SUCCESS;
    }
}
