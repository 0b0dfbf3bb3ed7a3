<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Column;
use Ferry\Console\FailedJobs;
use Ferry\Console\Payload;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Lists failed jobs, or shows one in full. */
final class Failed extends Base
{
    use SelectsFailed;

    protected function configure(): void
    {
        $this->setName('failed')->setDescription('List failed jobs, or show one')
            ->addArgument('show', InputArgument::OPTIONAL, 'The word `show`, to see one job in full')
            ->addArgument('id', InputArgument::OPTIONAL, 'Its id')
            ->withQueue()->withConditions()->withJson()
            ->addOption('limit', null, InputOption::VALUE_REQUIRED, 'List at most this many of each queue', 20)
            ->addOption('offset', null, InputOption::VALUE_REQUIRED, 'Skip this many of each queue', 0)
            ->setHelp(<<<'TEXT'
                Lists failed jobs, newest first, with the id that <info>retry</info> and <info>forget</info> take. Where the failed store has ids of its
                own, the id that push returned is beside it, as `Job id`.

                  <info>ferry failed --queue=mail,import</info>               the newest twenty of both queues
                  <info>ferry failed --class=SendMail --after=-2hours</info>  only those
                  <info>ferry failed show 17 --queue=mail</info>              payload and exception of one job
                  <info>ferry failed --job=4711 --queue=mail</info>           the job whose push returned 4711
                  <info>ferry failed --json --limit=1000</info>               a list of objects

                On a terminal that is too narrow for the table each job takes two lines.
                With --json a payload that is not UTF-8 is in <info>payload_base64</info>.
                Exit codes: 0 done, 1 no such job or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$word, $id] = [$input->getArgument('show'), $input->getArgument('id')];
        if ($word === null) {
            return $this->list($input, $output);
        }
        if ($word !== 'show' || $id === null) {
            throw new InvalidArgumentException('use `failed`, or `failed show ID`');
        }
        return $this->show($input, $output, $id);
    }

    private function list(InputInterface $input, OutputInterface $output): int
    {
        [$limit, $offset, $conditions] = [(int) $this->number($input, 'limit'), (int) $this->number($input, 'offset'), $this->conditions($input)];
        $connection = $this->connection($input);
        $queues = $this->queues($input, $connection);
        $jobs = array_merge(...array_map(fn ($queue) => self::page($connection, $queue, $conditions, $limit, $offset), $queues));
        if ($jobs === []) {
            self::refuseUnknown($connection, $queues, $conditions);
        }
        if ($input->getOption('json')) {
            $this->json($output, array_map([FailedJobs::class, 'record'], $jobs));
        } elseif ($jobs === []) {
            $output->writeln('No failed jobs.');
        } else {
            // The store may have ids of its own: rows of a table are numbered.
            $twoIds = array_filter($jobs, fn ($job) => FailedJobs::pushedAs($job) !== '') !== [];
            $this->table($output, self::columns($twoIds), array_map(fn ($job) => self::row($job, $twoIds), $jobs));
        }
        return self::SUCCESS;
    }

    /** @param array<string, mixed> $conditions @return list<array<string, mixed>> newest first */
    private static function page(Connection $connection, string $queue, array $conditions, int $limit, int $offset): array
    {
        if ($conditions === []) {
            return $connection->failed($queue, $limit, $offset);
        }
        return array_slice(array_reverse(FailedJobs::matching($connection, $queue, $conditions)), $offset, $limit);
    }

    /** @return list<Column> */
    private static function columns(bool $twoIds): array
    {
        return [
            new Column('Id', leads: true),
            ...($twoIds ? [new Column('Job id', leads: true)] : []),
            new Column('Failed at', leads: true),
            new Column('Queue', least: 8, most: 30, leads: true),
            new Column('Job', least: 14, most: 50, keepEnd: true),
            new Column('Reason', most: 20),
            new Column('Tries'),
            new Column('Exception', least: 20, most: 60),
        ];
    }

    /** @param array<string, mixed> $job @return list<string> */
    private static function row(array $job, bool $twoIds): array
    {
        $name = Payload::job($job['payload']);
        return [
            $job['id'],
            ...($twoIds ? [FailedJobs::pushedAs($job)] : []),
            Text::moment($job['failed_at']),
            $job['queue'],
            $name === '' ? '(unreadable)' : $name,
            $job['reason'],
            (string) ($job['attempts'] ?? '?'),
            Text::firstLine($job['exception']),
        ];
    }

    private function show(InputInterface $input, OutputInterface $output, string $id): int
    {
        $connection = $this->connection($input);
        foreach ($this->queues($input, $connection) as $queue) {
            $job = $connection->failedJob($id, $queue);
            if ($job !== null) {
                $input->getOption('json') ? $this->json($output, FailedJobs::record($job)) : $this->whole($output, $job);
                return self::SUCCESS;
            }
        }
        throw new Refusal("there is no failed job $id in this queue (`failed` lists them, --queue names another queue)");
    }

    /** @param array<string, mixed> $job */
    private function whole(OutputInterface $output, array $job): void
    {
        $pushed = FailedJobs::pushedAs($job);
        $facts = ['Id' => $job['id']] + ($pushed === '' ? [] : ['Job id' => $pushed]) + ['Connection' => $job['connection'], 'Queue' => $job['queue'], 'Job' => Payload::job($job['payload']),
            'Reason' => $job['reason'], 'Tries' => (string) ($job['attempts'] ?? '?'), 'Failed at' => Text::moment($job['failed_at'])];
        foreach ($facts as $name => $value) {
            $output->writeln(sprintf('<info>%-10s</info> %s', $name, Text::cell($value)));
        }
        foreach (['Payload' => $job['payload'], 'Exception' => $job['exception']] as $name => $text) {
            $output->writeln(["<info>$name</info>", Text::block($text)]);
        }
    }
}
