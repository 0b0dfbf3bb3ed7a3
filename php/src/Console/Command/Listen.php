<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Process\RespawnPolicy;
use Ferry\Console\WorkerOptions;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Runs each job in a fresh PHP process. */
final class Listen extends Runs
{
    protected function configure(): void
    {
        $this->setName('listen')->setDescription('Run each job in a fresh PHP process')
            ->withWorkerOptions(WorkerOptions::OF_ONE_RUN)
            ->setHelp(<<<'TEXT'
                Starts `work --once` again and again and passes on its output. Every job runs the newest code, at the cost of starting a PHP
                process. For development; <info>work</info> is many times faster.

                  <info>ferry listen --bootstrap=app/boot.php --queue=mail --tries=3</info>

                A job that runs longer than --timeout is stopped and settled in its own process, which is killed when it does not end within
                --grace. A process that does not reach the broker within --start-timeout is killed too. The listener continues in every case;
                when processes fail one after another, it waits 0, 1, 2, 4 ... 30 s before the next.

                TERM, INT and QUIT: the running job is finished, then the listener exits. `ferry stop` ends it, `ferry restart` has no effect.
                All options of think-queue's queue:listen are accepted.
                Exit codes: 0 asked to stop, 1 could not start, 2 wrong usage or configuration.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        // A banner for each job would be noise.
        $quiet = $input->getOption('status') === null ? ['--status=0'] : [];
        return $this->master($input, $output, 1, RespawnPolicy::FRESH, ['--once', ...$quiet]);
    }
}
