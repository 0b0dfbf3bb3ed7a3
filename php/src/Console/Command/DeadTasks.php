<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Column;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Ferry\Task\DeadLetters;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** The tasks of RabbitMQ that failed for good. */
final class DeadTasks extends Base
{
    protected function configure(): void
    {
        $this->setName('dead')->setDescription('List, show, requeue or purge tasks that failed for good (RabbitMQ)')
            ->addArgument('word', InputArgument::OPTIONAL, '`list`, `show`, `requeue` or `purge`', 'list')
            ->addArgument('which', InputArgument::OPTIONAL, 'An id; for `requeue` also a type or `all`')
            ->addOption('limit', null, InputOption::VALUE_REQUIRED, 'List at most this many, oldest first', 20)
            ->withForce()->withJson()
            ->setHelp(<<<'TEXT'
                <info>task.dlq</info> holds the tasks that used up their retries, expired or could not be read.

                  <info>ferry dead -c rabbit</info>                              the oldest twenty
                  <info>ferry dead show task_20260131120000_0123456789abcdef</info>
                  <info>ferry dead requeue email.send</info>                     all of one type; or an id, or `all`
                  <info>ferry dead purge</info>                                  asks for confirmation

                Exit codes: 0 done, 1 no such task or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $letters = new DeadLetters($this->connection($input));
        [$word, $which] = [$input->getArgument('word'), $input->getArgument('which')];
        match (true) {
            $word === 'list' && $which === null => $this->list($input, $output, $letters),
            $word === 'show' && $which !== null => $this->show($input, $output, $letters, $which),
            $word === 'requeue' && $which !== null => $this->requeue($input, $output, $letters, $which),
            $word === 'purge' && $which === null => $this->purge($input, $output, $letters),
            default => throw new InvalidArgumentException('use `dead`, `dead show ID`, `dead requeue ID|TYPE|all` or `dead purge`'),
        };
        return self::SUCCESS;
    }

    private function list(InputInterface $input, OutputInterface $output, DeadLetters $letters): void
    {
        $tasks = $letters->list((int) $this->number($input, 'limit'));
        if ($input->getOption('json')) {
            $this->json($output, array_map([self::class, 'record'], $tasks));
        } elseif ($tasks === []) {
            $output->writeln('No dead tasks.');
        } else {
            $row = fn (array $task) => [
                $task['id'] ?? '(no task)',
                (string) ($task['failed_at'] ?? ''),
                $task['type'] ?? '',
                $task['reason'] ?? '',
                Text::firstLine((string) ($task['message'] ?? '')),
            ];
            $this->table($output, self::columns(), array_map($row, $tasks));
        }
    }

    /** @return list<Column> */
    private static function columns(): array
    {
        return [
            new Column('Id', leads: true),
            new Column('Failed at', leads: true),
            new Column('Type', least: 10, most: 40),
            new Column('Reason', most: 20),
            new Column('Message', least: 20, most: 60),
        ];
    }

    private function requeue(InputInterface $input, OutputInterface $output, DeadLetters $letters, string $which): void
    {
        $count = $letters->requeue($which);
        if ($count === 0 && $which !== 'all') {
            throw new Refusal("there is no dead task with the id or type $which (`dead` lists them)");
        }
        $this->count($input, $output, $count, 'published again');
    }

    private function show(InputInterface $input, OutputInterface $output, DeadLetters $letters, string $id): void
    {
        $task = $letters->show($id) ?? throw new Refusal("there is no dead task $id (`dead` lists them)");
        if ($input->getOption('json')) {
            $this->json($output, self::record($task));
            return;
        }
        foreach ($task as $name => $value) {
            $text = is_string($value) ? $value : Text::json($value);
            $output->writeln(sprintf('<info>%-13s</info> %s', $name, $name === 'trace' && $text !== '' ? "\n" . Text::block($text) : Text::cell($text)));
        }
    }

    private function purge(InputInterface $input, OutputInterface $output, DeadLetters $letters): void
    {
        $this->confirm($input, $output, 'Remove all dead tasks for good?');
        $this->count($input, $output, $letters->purge(), 'removed');
    }

    private function count(InputInterface $input, OutputInterface $output, int $count, string $what): void
    {
        $input->getOption('json') ? $this->json($output, ['tasks' => $count]) : $output->writeln(Text::count($count, 'task') . " $what.");
    }

    /** Bytes that are not UTF-8 cannot stand in JSON. @param array<string, mixed> $task @return array<string, mixed> */
    private static function record(array $task): array
    {
        if (preg_match('//u', (string) ($task['body'] ?? '')) === 1) {
            return $task;
        }
        return ['body_base64' => base64_encode($task['body'])] + array_diff_key($task, ['body' => 1]);
    }
}
