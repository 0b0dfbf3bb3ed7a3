<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Column;
use Ferry\Console\Connections;
use Ferry\Console\Launch;
use Ferry\Console\Refusal;
use Ferry\Console\SpooledJob;
use Ferry\Console\SpoolFile;
use Ferry\Console\Text;
use Ferry\Queue;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Stores the jobs that the setting ferry.spool kept when no broker took them. */
final class Spool extends Base
{
    /** Why a connection cannot be reached, by its name: it is tried once. @var array<string, string> */
    private array $unreachable = [];

    public function __construct(private Launch $launch, Connections $connections)
    {
        parent::__construct($connections);
    }

    protected function configure(): void
    {
        $this->setName('spool')->setDescription('Store the jobs that ferry.spool kept when no broker took them')
            ->addArgument('file', InputArgument::REQUIRED, 'The file that the ini setting ferry.spool names')
            ->addOption('list', null, InputOption::VALUE_NONE, 'Count the jobs in it and store nothing')
            ->withJson('With --list: print JSON')
            ->setHelp(<<<'TEXT'
                A request whose buffered jobs cannot be stored at its end appends them to the file of <info>ferry.spool</info>. This command stores each job
                in its queue, on the connection of the configuration that has its name, with its id and its due time. --connection names another one.

                  <info>ferry spool /var/lib/app/ferry.spool --config=config/queue.php</info>
                  <info>ferry spool /var/lib/app/ferry.spool --list</info>

                What cannot be stored stays in the file for the next time. Run it as the user whose requests write the file; two at once do no harm.
                A job whose push was cut off before its answer may have been stored before: such a job is stored twice.
                Exit codes: 0 the file is empty now, 1 jobs are left or the file cannot be used, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $file = new SpoolFile($this->launch->path($input->getArgument('file')));
        if ($input->getOption('list')) {
            $this->list($file, $input, $output);
            return self::SUCCESS;
        }
        $this->connections->configure($input);
        $file->claim();
        [$stored, $kept] = $this->replay($file, $input->getOption('connection'));
        foreach ($stored as $place => $count) {
            $output->writeln(sprintf('%s stored in %s.', Text::count($count, 'job'), $place));
        }
        if ($kept !== []) {
            $lines = array_key_first($kept);
            throw new Refusal(sprintf('%s left in the file; line %d: %s', count($kept) === 1 ? '1 line is' : count($kept) . ' lines are', $lines, $kept[$lines]));
        }
        if ($stored === []) {
            $output->writeln('No jobs.');
        }
        return self::SUCCESS;
    }

    /** @return array{array<string, int>, array<int, string>} stored jobs by place, and by its number why a line was not */
    private function replay(SpoolFile $file, ?string $connection): array
    {
        $stored = $kept = [];
        do {
            foreach ($file->jobs() as $number => $job) {
                $why = $job === null ? 'it is no job that this version can read' : $this->store($job, $connection ?? $job->connection, $stored);
                if ($why === null) {
                    $file->mark();
                } else {
                    $kept[$number] = $why;
                }
            }
        } while ($kept === [] && !$file->clear());
        return [$stored, $kept];
    }

    /** Answers why it could not. @param array<string, int> $stored */
    private function store(SpooledJob $job, string $name, array &$stored): ?string
    {
        if (isset($this->unreachable[$name])) {
            return $this->unreachable[$name];
        }
        try {
            $connection = Queue::connection($name);
            self::push($connection, $job);
        } catch (\Ferry\ConnectionException | \Ferry\ConfigException $e) {
            return $this->unreachable[$name] = $e->getMessage();
        } catch (\Ferry\Exception $e) {
            return $e->getMessage();
        }
        $place = self::place($connection, $job->queue);
        $stored[$place] = ($stored[$place] ?? 0) + 1;
        return null;
    }

    /** Neither is ever buffered: when it returns, the job is stored. */
    private static function push(Connection $connection, SpooledJob $job): void
    {
        if ($job->due === null) {
            $connection->pushRaw($job->payload, $job->queue);
        } else {
            $connection->laterRaw(new \DateTimeImmutable("@$job->due"), $job->payload, $job->queue);
        }
    }

    private function list(SpoolFile $file, InputInterface $input, OutputInterface $output): void
    {
        $counts = [];
        $unreadable = 0;
        foreach ($file->jobs() as $job) {
            if ($job === null) {
                $unreadable++;
                continue;
            }
            $key = json_encode([$job->connection, $job->queue], JSON_THROW_ON_ERROR);
            $counts[$key] ??= ['connection' => $job->connection, 'queue' => $job->queue, 'ready' => 0, 'delayed' => 0];
            $counts[$key][$job->due === null ? 'ready' : 'delayed']++;
        }
        if ($input->getOption('json')) {
            $this->json($output, ['jobs' => array_values($counts), 'unreadable_lines' => $unreadable]);
            return;
        }
        if ($counts === []) {
            $output->writeln('No jobs.');
        } else {
            $columns = [new Column('Connection', least: 10), new Column('Queue', least: 10), new Column('Ready'), new Column('Delayed')];
            $this->table($output, $columns, array_map('array_values', array_values($counts)));
        }
        if ($unreadable > 0) {
            self::warn($output, Text::count($unreadable, 'line') . ' cannot be read');
        }
    }
}
