<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\FailedJobs;
use Ferry\Console\Payload;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Formatter\OutputFormatter;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Lists failed jobs, or shows one whole. */
final class Failed extends Base
{
    protected function configure(): void
    {
        $this->setName('failed')->setDescription('List failed jobs, or show one')
            ->addArgument('show', InputArgument::OPTIONAL, 'The word `show`, to see one job whole')
            ->addArgument('id', InputArgument::OPTIONAL, 'Its id')
            ->withQueue()->withJson()
            ->addOption('limit', null, InputOption::VALUE_REQUIRED, 'The newest so many of each queue', 20)
            ->addOption('offset', null, InputOption::VALUE_REQUIRED, 'Pass over so many', 0)
            ->setHelp(<<<'TEXT'
                Failed jobs are listed newest first, with their id, which <info>retry</info> and <info>forget</info> take.

                  <info>ferry failed --queue=mail,import</info>       the newest twenty of both queues
                  <info>ferry failed show 17 --queue=mail</info>      payload and exception of one
                  <info>ferry failed --json --limit=1000</info>       a list of objects

                With --json a payload that is no UTF-8 stands under <info>payload_base64</info>.
                Exit codes: 0 done, 1 no such job or the broker did not answer, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$word, $id] = [$input->getArgument('show'), $input->getArgument('id')];
        if ($word === null) {
            return $this->list($input, $output);
        }
        if ($word !== 'show' || $id === null) {
            throw new InvalidArgumentException('this is `failed`, or `failed show ID`');
        }
        return $this->show($input, $output, $id);
    }

    private function list(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        [$limit, $offset] = [(int) $this->number($input, 'limit'), (int) $this->number($input, 'offset')];
        $jobs = array_merge(...array_map(fn ($queue) => $connection->failed($queue, $limit, $offset), $this->connections->queues($input)));
        if ($input->getOption('json')) {
            $this->json($output, array_map([FailedJobs::class, 'record'], $jobs));
        } elseif ($jobs === []) {
            $output->writeln('No failed jobs.');
        } else {
            $this->table($output, ['Id', 'Queue', 'Job', 'Reason', 'Tries', 'Failed at', 'Exception'], array_map([self::class, 'row'], $jobs));
        }
        return self::SUCCESS;
    }

    /** @param array<string, mixed> $job @return list<string> */
    private static function row(array $job): array
    {
        $exception = strtok($job['exception'], "\r\n") ?: '';
        $name = Payload::job($job['payload']);
        return [
            Text::cell($job['id']),
            Text::cell($job['queue'], 30),
            Text::cell($name === '' ? '(unreadable)' : $name, 50),
            $job['reason'],
            (string) ($job['attempts'] ?? '?'),
            Text::moment($job['failed_at']),
            Text::cell($exception, 60),
        ];
    }

    private function show(InputInterface $input, OutputInterface $output, string $id): int
    {
        $connection = $this->connection($input);
        foreach ($this->connections->queues($input) as $queue) {
            $job = $connection->failedJob($id, $queue);
            if ($job !== null) {
                $input->getOption('json') ? $this->json($output, FailedJobs::record($job)) : $this->whole($output, $job);
                return self::SUCCESS;
            }
        }
        throw new Refusal("there is no failed job $id in this queue (`failed` lists them, --queue names another one)");
    }

    /** @param array<string, mixed> $job */
    private function whole(OutputInterface $output, array $job): void
    {
        $facts = ['Id' => $job['id'], 'Connection' => $job['connection'], 'Queue' => $job['queue'], 'Job' => Payload::job($job['payload']),
            'Reason' => $job['reason'], 'Tries' => (string) ($job['attempts'] ?? '?'), 'Failed at' => Text::moment($job['failed_at'])];
        foreach ($facts as $name => $value) {
            $output->writeln(sprintf('<info>%-10s</info> %s', $name, Text::cell($value)));
        }
        foreach (['Payload' => $job['payload'], 'Exception' => $job['exception']] as $name => $text) {
            $output->writeln(["<info>$name</info>", OutputFormatter::escape(Text::clean($text, keep: "\n\t"))]);
        }
    }
}
