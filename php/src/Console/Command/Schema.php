<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Schema as Tables;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Prints the statements that create Ferry's tables. Connects to nothing. */
final class Schema extends Base
{
    private const PARTS = ['jobs', 'failed', 'fleet'];

    protected function configure(): void
    {
        $this->setName('schema')->setDescription('Print the SQL that creates the tables')
            ->addArgument('part', InputArgument::OPTIONAL, 'jobs, failed or fleet [default: all]')
            ->addOption('driver', null, InputOption::VALUE_REQUIRED, 'sqlite, the only database of this version', 'sqlite')
            ->addOption('family', null, InputOption::VALUE_REQUIRED, implode(', ', Tables::families()), 'think3')
            ->addOption('table', null, InputOption::VALUE_REQUIRED, 'Table of jobs', 'jobs')
            ->addOption('failed-table', null, InputOption::VALUE_REQUIRED, 'Table of failed jobs', 'failed_jobs')
            ->withJson('Print a list of statements as JSON')
            ->setHelp(<<<'TEXT'
                The statements do nothing where the tables are there. Ferry creates them itself on SQLite; print them for a migration, or where
                the application may not create tables. They are the tables of think-queue v3; Redis needs none.

                  <info>ferry schema | sqlite3 jobs.sqlite</info>
                  <info>ferry schema failed --failed-table=queue_failures</info>

                Exit codes: 0 done, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $statements = self::statements($input);
        if ($input->getOption('json')) {
            $this->json($output, $statements);
        } else {
            $output->writeln(array_map(fn ($sql) => "$sql;", $statements), OutputInterface::OUTPUT_RAW);
        }
        return self::SUCCESS;
    }

    /** @return list<string> */
    private static function statements(InputInterface $input): array
    {
        [$part, $driver, $family] = [$input->getArgument('part'), $input->getOption('driver'), $input->getOption('family')];
        if ($driver !== 'sqlite') {
            throw new InvalidOptionException("--driver=$driver is not in this version (sqlite is; redis needs no tables)");
        }
        if (!in_array($family, Tables::families(), true)) {
            throw new InvalidOptionException('--family wants ' . implode(', ', Tables::families()));
        }
        if ($part !== null && !in_array($part, self::PARTS, true)) {
            throw new InvalidArgumentException('the part is jobs, failed or fleet');
        }
        $all = [
            'jobs' => Tables::jobs($family, self::name($input, 'table')),
            'failed' => Tables::failed($family, self::name($input, 'failed-table')),
            'fleet' => Tables::fleet(),
        ];
        return $part === null ? array_merge(...array_values($all)) : $all[$part];
    }

    private static function name(InputInterface $input, string $option): string
    {
        $name = $input->getOption($option);
        if (!preg_match('/^[A-Za-z0-9_]+$/', $name)) {
            throw new InvalidOptionException("--$option wants letters, digits and _");
        }
        return $name;
    }
}
