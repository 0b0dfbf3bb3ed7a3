<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Suggestion;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Ends a pause. */
final class Resume extends Base
{
    use NamesQueues;

    protected function configure(): void
    {
        $this->setName('resume')->setDescription('Resume a paused queue')
            ->addArgument('queues', InputArgument::IS_ARRAY, 'Queues [default: that of the connection]')->withQueue()
            ->addOption('all', null, InputOption::VALUE_NONE, 'All paused queues')
            ->setHelp(<<<'TEXT'
                  <info>ferry resume mail</info>
                  <info>ferry resume --all</info>

                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage, or the broker cannot store the request.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        $paused = array_map('strval', array_keys($connection->flags()['paused']));
        foreach ($input->getOption('all') ? $paused : $this->named($input, $connection) as $queue) {
            if (!in_array($queue, $paused, true)) {
                self::warn($output, "the queue `$queue` was not paused" . Suggestion::hint($queue, $paused));
            }
            $connection->resume($queue);
            $output->writeln('Resumed: ' . self::place($connection, $queue) . '.');
        }
        return self::SUCCESS;
    }
}
