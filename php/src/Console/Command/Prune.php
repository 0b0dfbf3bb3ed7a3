<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Text;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Removes failed jobs of a certain age, for good. */
final class Prune extends Base
{
    protected function configure(): void
    {
        $this->setName('prune')->setDescription('Remove failed jobs that are older than a number of hours')->withQueue()
            ->addOption('hours', null, InputOption::VALUE_REQUIRED, 'Age in hours; may be a fraction', 24)
            ->setHelp(<<<'TEXT'
                For cron: removes the jobs for good, without a question.

                  <info>ferry prune --hours=720 --queue=mail,import</info>

                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $before = time() - (int) ($this->number($input, 'hours') * 3600);
        $connection = $this->connection($input);
        foreach ($this->queues($input, $connection) as $queue) {
            $gone = $connection->forgetFailed(['before' => $before], $queue);
            $output->writeln(sprintf(
                '%s from before %s removed from %s.',
                Text::count($gone, 'failed job'),
                Text::moment($before),
                self::place($connection, $queue),
            ));
        }
        return self::SUCCESS;
    }
}
