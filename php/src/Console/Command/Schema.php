<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Task\Schema as Tasks;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Prints what a connection needs on its broker: the SQL of its tables, or what tasks need on RabbitMQ. */
final class Schema extends Base
{
    protected function configure(): void
    {
        $this->setName('schema')->setDescription('Print the SQL that creates the tables of a connection')
            ->addArgument('what', InputArgument::OPTIONAL, '`sql` or `amqp`', 'sql')
            ->addOption('vhost', null, InputOption::VALUE_REQUIRED, 'Virtual host of the policies', '/')
            ->withJson('Print a list of statements as JSON')
            ->setHelp(<<<'TEXT'
                Prints the tables for jobs and failed jobs, with the names and the family that the configuration says. The statements change
                nothing where the tables exist. Ferry creates them itself on first use; print them for a migration. Redis needs none.
                Ferry creates the tables for flags and workers when it first needs them.

                  <info>ferry schema -c local | sqlite3 jobs.sqlite</info>

                <info>ferry schema amqp</info> prints the exchanges, queues and bindings of tasks on RabbitMQ and the policies for rabbitmqctl
                that keep dead letters for seven days, which the declarations alone do not.

                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        if ($input->getArgument('what') === 'amqp') {
            return $this->amqp($input, $output);
        }
        if ($input->getArgument('what') !== 'sql') {
            throw new InvalidArgumentException('use `schema` or `schema amqp`');
        }
        $statements = $this->connection($input)->schema();
        if ($input->getOption('json')) {
            $this->json($output, $statements);
        } elseif ($statements === []) {
            $output->writeln('-- This broker has no tables.');
        } else {
            $output->writeln(array_map(fn ($sql) => rtrim($sql, ';') . ';', $statements), OutputInterface::OUTPUT_RAW);
        }
        return self::SUCCESS;
    }

    private function amqp(InputInterface $input, OutputInterface $output): int
    {
        $needs = ['declarations' => Tasks::declarations(), 'policies' => Tasks::policies($input->getOption('vhost'))];
        if ($input->getOption('json')) {
            $this->json($output, $needs);
        } else {
            $comments = array_map(fn ($line) => "# $line", $needs['declarations']);
            $output->writeln([...$comments, '', ...$needs['policies']], OutputInterface::OUTPUT_RAW);
        }
        return self::SUCCESS;
    }
}
