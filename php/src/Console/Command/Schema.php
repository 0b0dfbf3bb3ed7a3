<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Prints the statements that create the tables of a connection, as its driver has them. */
final class Schema extends Base
{
    protected function configure(): void
    {
        $this->setName('schema')->setDescription('Print the SQL that creates the tables of a connection')
            ->withJson('Print a list of statements as JSON')
            ->setHelp(<<<'TEXT'
                The tables of jobs and of failed jobs, with the names and the family of think-queue that the configuration says. The statements do
                nothing where the tables are there. Ferry creates them itself on first use; print them for a migration.
                Redis needs none; the tables of flags and workers are made by Ferry when they are first needed.

                  <info>ferry schema -c local | sqlite3 jobs.sqlite</info>

                Exit codes: 0 done, 1 the broker did not answer, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
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
}
