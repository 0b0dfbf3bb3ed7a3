<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Text;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Shows payloads without changing anything. */
final class Peek extends Base
{
    private const STATES = ['ready', 'delayed', 'reserved'];

    protected function configure(): void
    {
        $this->setName('peek')->setDescription('Show the payloads of a queue, next first, and change nothing')->withQueue()->withJson()
            ->addOption('state', null, InputOption::VALUE_REQUIRED, 'ready, delayed or reserved', 'ready')
            ->addOption('limit', null, InputOption::VALUE_REQUIRED, 'Show at most this many of each queue', 10)
            ->addOption('offset', null, InputOption::VALUE_REQUIRED, 'Skip this many of each queue', 0)
            ->setHelp(<<<'TEXT'
                  <info>ferry peek --queue=mail --state=delayed --limit=3</info>
                  <info>ferry peek --json</info>        a list of objects with queue, state and payload (or payload_base64)

                <info>failed</info> shows failed jobs. RabbitMQ cannot show jobs without taking them.
                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $state = $input->getOption('state');
        if (!in_array($state, self::STATES, true)) {
            throw new InvalidOptionException('--state needs ready, delayed or reserved (failed jobs: `ferry failed`)');
        }
        $connection = $this->connection($input);
        [$limit, $offset] = [(int) $this->number($input, 'limit'), (int) $this->number($input, 'offset')];
        $found = [];
        foreach ($this->queues($input, $connection) as $queue) {
            foreach ($connection->peek($queue, $state, $limit, $offset) as $payload) {
                $found[] = ['queue' => $queue, 'state' => $state] + Text::payload($payload);
                if (!$input->getOption('json')) {
                    $output->writeln(Text::cell($payload));
                }
            }
        }
        if ($input->getOption('json')) {
            $this->json($output, $found);
        } elseif ($found === []) {
            $output->writeln("No $state jobs.");
        }
        return self::SUCCESS;
    }
}
