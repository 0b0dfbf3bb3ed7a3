<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Text;
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
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        $counts = array_map(fn ($queue) => ['queue' => $queue] + self::count($connection->stats($queue)), $this->connections->queues($input));
        if ($input->getOption('json')) {
            $this->json($output, $counts);
            return self::SUCCESS;
        }
        $row = fn ($one) => [$one['queue'] === null ? '(own)' : Text::cell($one['queue']), $one['ready'], $one['delayed'], $one['reserved'], $one['failed'], $one['size']];
        $this->table($output, ['Queue', 'Ready', 'Delayed', 'Reserved', 'Failed', 'Size'], array_map($row, $counts));
        return self::SUCCESS;
    }

    /** @param array<string, int> $stats @return array<string, int> */
    private static function count(array $stats): array
    {
        return $stats + ['size' => $stats['ready'] + $stats['delayed'] + $stats['reserved']];
    }
}
