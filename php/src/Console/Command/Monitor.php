<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
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

/** Shows queues and workers, again and again. */
final class Monitor extends Base
{
    protected function configure(): void
    {
        $this->setName('monitor')->setDescription('Show queues and workers, live')
            ->withQueue("Queues, with commas between them [default: the connection's, and those of its workers]")
            ->withJson('Print one JSON object in a line for each look')
            ->addOption('interval', 'i', InputOption::VALUE_REQUIRED, 'Seconds between two looks, at least 0.1', 1)
            ->addOption('once', null, InputOption::VALUE_NONE, 'Look once')
            ->setHelp(<<<'TEXT'
                  <info>ferry monitor</info>                          a table that renews itself; Ctrl-C ends it
                  <info>ferry monitor --once</info>                   the same, once
                  <info>ferry monitor --interval=10 | tee log</info>  plain lines, because that is no terminal
                  <info>ferry monitor --json</info>                   an object in a line, for machines

                <comment>Growth/s</comment> is by how much ready, delayed and reserved jobs together became more, in a second. <comment>Oldest</comment> is how long the same job has
                been first in line while we looked: payloads do not say when they were pushed. <comment>done/s</comment> and <comment>failed/s</comment> are what Ferry's workers
                report; workers of think-queue do not report.

                Exit codes: 0 done, 1 the broker did not answer at the first look, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $interval = $this->number($input, 'interval', 0.1);
        $names = $input->getOption('queue') === null ? null : array_map('strval', $this->connections->queues($input));
        $connection = $this->connection($input);
        $own = $this->connections->settings($input)->queue($input->getOption('connection'));
        $show = $this->shower($input, $output, $connection);
        $trend = new Trend();
        $show($trend->add(Snapshot::take($connection, $names, $own)));
        while (!$input->getOption('once')) {
            usleep((int) ($interval * 1e6));
            try {
                $show($trend->add(Snapshot::take($connection, $names, $own)));
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
        $screen = fn (array $report) => View::screen($report, $connection->getName(), $output->getVerbosity(), $output->isDecorated());
        $isTerminal = $output instanceof ConsoleOutputInterface && stream_isatty(STDOUT);
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
