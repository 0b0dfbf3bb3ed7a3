<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
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
            ->addArgument('what', InputArgument::OPTIONAL, '`sql` for the connection, `mysql`, `postgres`, `sqlite` or `amqp`', 'sql')
            ->addOption('family', null, InputOption::VALUE_REQUIRED, 'think3, think3-legacy or think1, for a database that is named', 'think3')
            ->addOption('vhost', null, InputOption::VALUE_REQUIRED, 'Virtual host of the policies', '/')
            ->withJson('Print a list of statements as JSON')
            ->setHelp(<<<'TEXT'
                Prints the tables for jobs and failed jobs, with the names and the family that the configuration says. SQLite: Ferry creates
                them itself on first use, those for flags and workers when it first needs them. On a server nothing is created silently: run what
                is printed, the index of an existing table of think-queue included. Redis needs none.

                  <info>ferry schema -c local | sqlite3 jobs.sqlite</info>
                  <info>ferry schema mysql | mariadb shop</info>

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
        $statements = match ($input->getArgument('what')) {
            'sql' => $this->connection($input)->schema(),
            'mysql', 'mariadb', 'postgres', 'pgsql' => self::ofServer($input),
            'sqlite' => (new Connection(['type' => 'sqlite', 'path' => 'jobs.sqlite', 'family' => $input->getOption('family')]))->schema(),
            default => throw new InvalidArgumentException('use `schema`, `schema mysql`, `schema postgres`, `schema sqlite` or `schema amqp`'),
        };
        if ($input->getOption('json')) {
            $this->json($output, $statements);
        } elseif ($statements === []) {
            $output->writeln('-- This broker has no tables.');
        } else {
            $output->writeln(array_map(fn ($sql) => rtrim($sql, ';') . ';', $statements), OutputInterface::OUTPUT_RAW);
        }
        return self::SUCCESS;
    }

    /** @return list<string> */
    private static function ofServer(InputInterface $input): array
    {
        // Only the names of its tables matter; nothing connects.
        $config = ['type' => $input->getArgument('what'), 'database' => 'any', 'family' => $input->getOption('family')];
        return (new Connection($config))->schema();
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
