<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Lets every worker of the fleet leave a queue alone. */
final class Pause extends Base
{
    use NamesQueues;

    protected function configure(): void
    {
        $this->setName('pause')->setDescription('Let all workers, on every machine, leave a queue alone')
            ->addArgument('queues', InputArgument::IS_ARRAY, "Queues [default: the connection's]")->withQueue()
            ->setHelp(<<<'TEXT'
                The order is kept in the broker. Running jobs are finished; idle workers obey within about two seconds. Workers go on with
                their other queues. Producers may push as before. Workers of think-queue do not know the order.

                  <info>ferry pause mail import</info>
                  <info>ferry pause --queue=mail</info>

                <info>resume</info> ends it, <info>monitor</info> shows it. Exit codes: 0 done, 1 the broker did not answer or cannot, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        foreach ($this->named($input) as $queue) {
            $connection->pause($queue);
            $output->writeln('Paused: ' . self::place($connection, $queue) . '.');
        }
        return self::SUCCESS;
    }
}
