<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Process\RespawnPolicy;
use Ferry\Console\WorkerOptions;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Works each job in a fresh PHP process. */
final class Listen extends Runs
{
    protected function configure(): void
    {
        $this->setName('listen')->setDescription('Work each job in a fresh PHP process')
            ->withWorkerOptions(WorkerOptions::OF_ONE_RUN)
            ->setHelp(<<<'TEXT'
                Starts `work --once` again and again and passes on what it prints. Every job sees the newest code; that costs the start of a
                PHP process each. For development; <info>work</info> is many times faster.

                  <info>ferry listen --bootstrap=app/boot.php --queue=mail --tries=3</info>

                A job that runs longer than --timeout is stopped and settled in its own process, which is killed when it does not leave within
                --grace. A process that is not ready after --start-timeout is killed too. The listener goes on in every case; when
                processes die one after the other, it waits 0, 1, 2, 4 ... 30 s.

                TERM, INT and QUIT: the running job is finished, then the listener leaves. `ferry stop` ends it, `ferry restart` changes nothing.
                All options of think-queue's queue:listen are taken.
                Exit codes: 0 asked to stop, 1 could not start, 2 wrong call or configuration.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        // A banner for each job would be noise.
        $quiet = $input->getOption('status') === null ? ['--status=0'] : [];
        return $this->master($input, $output, 1, RespawnPolicy::FRESH, ['--once', ...$quiet]);
    }
}
