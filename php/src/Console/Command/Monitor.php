<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Connections;
use Ferry\Console\Monitor\Snapshot;
use Ferry\Console\Monitor\Trend;
use Ferry\Console\Monitor\View;
use Ferry\Console\Text;
use Symfony\Component\Console\Formatter\OutputFormatter;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\ConsoleSectionOutput;
use Symfony\Component\Console\Output\OutputInterface;

/** Shows queues and workers, continuously. */
final class Monitor extends Base
{
    protected function configure(): void
    {
        $this->setName('monitor')->setDescription('Show queues and workers, live')
            ->withQueue('Queues, separated by commas [default: that of the connection, those of its workers, and those of tasks]')
            ->withJson('Print a JSON object per line')
            ->addOption('interval', 'i', InputOption::VALUE_REQUIRED, 'Seconds between two queries, at least 0.1', 1)
            ->addOption('once', null, InputOption::VALUE_NONE, 'Query once')
            ->setHelp(<<<'TEXT'
                  <info>ferry monitor</info>                          a table that is updated in place; Ctrl-C ends it
                  <info>ferry monitor --once</info>                   the same, once
                  <info>ferry monitor --interval=10 | tee log</info>  plain lines, because the output is not a terminal
                  <info>ferry monitor --json</info>                   a JSON object per line

                <comment>Growth/s</comment> is the change of the total backlog (ready, delayed and reserved jobs) per second. <comment>Oldest</comment> is how long the
                same job has been first in the queue since the monitor started: payloads do not say when they were pushed.
                <comment>done/s</comment> and <comment>failed/s</comment> are what Ferry's workers report; workers of think-queue do not report.

                On a narrow terminal long names are cut and columns are left out. `-` is what the broker does not report: on RabbitMQ delayed and
                reserved jobs and the oldest job; and workers, unless `control` names a connection of Redis or a database.

                Exit codes: 0 done, 1 the broker did not answer the first query, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $interval = $this->number($input, 'interval', 0.1);
        $names = $input->getOption('queue') === null ? null : Connections::names($input->getOption('queue'));
        $connection = $this->connection($input);
        $facts = $connection->facts() + ['driver' => ''];
        // Where tasks are declared, their queues and the dead letters are shown as well.
        $own = isset($facts['task_letters']) ? [$facts['queue'], 'task.high', 'task.normal', 'task.low', 'task.dlq'] : [$facts['queue']];
        $take = fn () => Snapshot::take($connection, $facts['driver'], $names, $own);
        $show = $this->shower($input, $output, $connection);
        $trend = new Trend();
        $show($trend->add($take()));
        while (!$input->getOption('once')) {
            usleep((int) ($interval * 1e6));
            try {
                $show($trend->add($take()));
            } catch (\Ferry\BrokerException $e) {
                self::errors($output)->writeln('<error>ferry:</error> ' . Text::cell($e->getMessage()));
            }
        }
        return self::SUCCESS;
    }

    /** @return \Closure(array<string, mixed>): void */
    private function shower(InputInterface $input, OutputInterface $output, Connection $connection): \Closure
    {
        if ($input->getOption('json')) {
            return fn (array $report) => $output->writeln(Text::json($report), OutputInterface::OUTPUT_RAW);
        }
        $screen = fn (array $report) => View::screen($report, $connection->getName(), $output->getVerbosity(), $output->isDecorated(), self::width($output) ?? 80);
        $isTerminal = $output instanceof ConsoleOutputInterface && self::width($output) !== null;
        if ($input->getOption('once')) {
            return fn (array $report) => $output->writeln($isTerminal ? $screen($report) : View::lines($report), OutputInterface::OUTPUT_RAW);
        }
        if (!$isTerminal) {
            return fn (array $report) => $output->writeln(View::lines($report), OutputInterface::OUTPUT_RAW);
        }
        $section = $output->section();
        assert($section instanceof ConsoleSectionOutput);
        return fn (array $report) => $section->overwrite(OutputFormatter::escape($screen($report)));
    }
}
