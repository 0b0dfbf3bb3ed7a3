<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Text;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Empties a queue. */
final class Clear extends Base
{
    protected function configure(): void
    {
        $this->setName('clear')->setDescription('Remove all ready, delayed and reserved jobs of a queue')->withQueue()->withForce()
            ->setHelp(<<<'TEXT'
                Removes the jobs for good; failed jobs stay (<info>flush</info> removes those). A job that is running now is not stopped.
                Asks first, unless --force is given. Where nobody can answer (cron, CI, -n) nothing is done without --force.
                RabbitMQ: only ready jobs are removed.

                  <info>ferry clear --queue=mail --force</info>

                Exit codes: 0 done, 1 the answer was no or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        foreach ($this->queues($input, $connection) as $queue) {
            $count = $connection->size($queue);
            if ($count > 0) {
                $this->confirm($input, $output, sprintf('Remove %s of %s for good?', Text::count($count, 'job'), self::place($connection, $queue)));
            }
            $output->writeln(sprintf(
                '%s removed from %s.',
                Text::count($connection->clear($queue), 'job'),
                self::place($connection, $queue),
            ));
        }
        return self::SUCCESS;
    }
}
