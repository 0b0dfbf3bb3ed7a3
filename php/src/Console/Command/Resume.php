<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Ends what `pause` began. */
final class Resume extends Base
{
    use NamesQueues;

    protected function configure(): void
    {
        $this->setName('resume')->setDescription('Let all workers go on with a paused queue')
            ->addArgument('queues', InputArgument::IS_ARRAY, "Queues [default: the connection's]")->withQueue()
            ->addOption('all', null, InputOption::VALUE_NONE, 'Every queue that is paused')
            ->setHelp(<<<'TEXT'
                  <info>ferry resume mail</info>
                  <info>ferry resume --all</info>

                Exit codes: 0 done, 1 the broker did not answer or cannot, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        foreach ($input->getOption('all') ? self::paused($connection) : $this->named($input) as $queue) {
            $connection->resume($queue);
            $output->writeln('Goes on: ' . self::place($connection, $queue) . '.');
        }
        return self::SUCCESS;
    }

    /** @return list<string> */
    private static function paused(Connection $connection): array
    {
        return array_map('strval', array_keys($connection->flags()['paused']));
    }
}
