<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Stops all workers from taking jobs of a queue. */
final class Pause extends Base
{
    use NamesQueues;

    protected function configure(): void
    {
        $this->setName('pause')->setDescription('Pause a queue for all workers on all machines')
            ->addArgument('queues', InputArgument::IS_ARRAY, 'Queues [default: that of the connection]')->withQueue()
            ->setHelp(<<<'TEXT'
                The request is stored in the broker. Running jobs are finished; idle workers follow it within about two seconds and keep
                working their other queues. Pushing is not affected. Workers of think-queue ignore it.

                  <info>ferry pause mail import</info>
                  <info>ferry pause --queue=mail</info>

                <info>resume</info> ends the pause, <info>monitor</info> shows it.
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage, or the broker cannot store the request.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        $known = self::known($connection);
        foreach ($this->named($input, $connection) as $queue) {
            $connection->pause($queue);
            self::warnOfUnknown($output, $connection, $queue, $known);
            $output->writeln('Paused: ' . self::place($connection, $queue) . '.');
        }
        return self::SUCCESS;
    }
}
