<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Text;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Removes every failed job of a queue, for good. */
final class Flush extends Base
{
    protected function configure(): void
    {
        $this->setName('flush')->setDescription('Remove all failed jobs of a queue')->withQueue()->withForce()
            ->setHelp(<<<'TEXT'
                Removes the failed jobs for good; ready, delayed and reserved jobs stay. Asks first, unless --force is given. Where nobody can
                answer (cron, CI, -n) nothing is done without --force.

                  <info>ferry flush --queue=mail --force</info>

                Exit codes: 0 done, 1 the answer was no or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        foreach ($this->queues($input, $connection) as $queue) {
            $count = $connection->stats($queue)['failed'];
            if ($count > 0) {
                $this->confirm($input, $output, sprintf(
                    'Remove %s of %s for good?',
                    Text::count($count, 'failed job'),
                    self::place($connection, $queue),
                ));
            }
            $output->writeln(sprintf(
                '%s removed from %s.',
                Text::count($connection->forgetFailed('all', $queue), 'failed job'),
                self::place($connection, $queue),
            ));
        }
        return self::SUCCESS;
    }
}
