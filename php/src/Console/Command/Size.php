<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Column;
use Ferry\Console\QueueCounts;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Counts jobs. */
final class Size extends Base
{
    protected function configure(): void
    {
        $this->setName('size')->setDescription('Count the jobs of a queue by state')->withQueue()->withJson()
            ->setHelp(<<<'TEXT'
                  <info>ferry size --queue=high,mail</info>
                  <info>ferry size --json</info>        a list of objects with queue, ready, delayed, reserved, failed, size

                `size` is ready, delayed and reserved together. <info>monitor</info> shows the same, live.
                RabbitMQ does not report how many jobs are delayed or reserved: `-`, in JSON null.
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        $driver = (string) ($connection->facts()['driver'] ?? '');
        $counts = array_map(fn ($queue) => ['queue' => $queue] + QueueCounts::of($connection, $queue, $driver), $this->queues($input, $connection));
        if ($input->getOption('json')) {
            $this->json($output, $counts);
            return self::SUCCESS;
        }
        $columns = [new Column('Queue', least: 10), new Column('Ready'), new Column('Delayed'), new Column('Reserved'), new Column('Failed'), new Column('Size')];
        $this->table($output, $columns, array_map(fn ($one) => array_map(fn ($cell) => $cell ?? '-', array_values($one)), $counts));
        if (in_array(null, $counts[0], true)) {
            $output->writeln(QueueCounts::NOTE);
        }
        return self::SUCCESS;
    }
}
