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
            ->addOption('kept', null, InputOption::VALUE_NONE, 'Those in task.dlq.kept, where the policy of `schema amqp` moves old ones')
            ->addOption('type', null, InputOption::VALUE_REQUIRED, 'Only tasks of this type')
            ->addOption('reason', null, InputOption::VALUE_REQUIRED, 'Only failed, expired, rejected, maxlen or poison')
            ->addOption('before', null, InputOption::VALUE_REQUIRED, 'Only tasks that failed before this time')
            ->addOption('after', null, InputOption::VALUE_REQUIRED, 'Only tasks that failed at this time or later')
            ->addOption('ask', null, InputOption::VALUE_NONE, 'Ask about each task before `requeue`')
            ->withForce()->withJson()
            ->setHelp(<<<'TEXT'
                <info>task.dlq</info> holds the tasks that used up their retries, expired or could not be read.

                  <info>ferry dead -c rabbit</info>                              the oldest twenty
                  <info>ferry dead show task_20260131120000_0123456789abcdef</info>
                  <info>ferry dead requeue email.send</info>                     all of one type; or an id, or `all`
                  <info>ferry dead requeue --reason=failed --after='-2 hours'</info>
                  <info>ferry dead requeue --ask</info>                          shows every task and asks: y, n, q
                  <info>ferry dead purge</info>                                  asks for confirmation

                A time is a Unix timestamp or a date as PHP reads it. Consumers of the original design reject a task whose retry they publish:
                beside them `--reason=failed` leaves out what is still alive.
                Exit codes: 0 done, 1 no such task, a queue that refuses tasks, or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$word, $which] = [$input->getArgument('word'), $input->getArgument('which')];
        $conditions = $this->conditions($input);
        $selects = $conditions !== [] || $input->getOption('ask');
        self::mustFit($word, $which, $conditions !== [], $input->getOption('ask'));
        $letters = new DeadLetters($this->connection($input), $input->getOption('kept') ? 'task.dlq.kept' : null);
        match (true) {
            $word === 'list' && $which === null => $this->list($input, $output, $letters, $conditions),
            $word === 'show' && $which !== null => $this->show($input, $output, $letters, $which),
            $word === 'requeue' && ($which === null) === $selects => $this->requeue($input, $output, $letters, $which, $conditions),
            $word === 'purge' && $which === null => $this->purge($input, $output, $letters),
            default => throw new InvalidArgumentException('use `dead`, `dead show ID`, `dead requeue ID|TYPE|all`, `dead requeue` with conditions or --ask, or `dead purge`'),
        };
        return self::SUCCESS;
    }

    /** Conditions that would be ignored are refused. */
    private static function mustFit(string $word, ?string $which, bool $conditions, bool $ask): void
    {
        if ($conditions && !in_array($word, ['list', 'requeue'], true)) {
            throw new InvalidArgumentException("`dead $word` takes no conditions; `dead` and `dead requeue` do");
        }
        if ($ask && $word !== 'requeue') {
            throw new InvalidArgumentException('--ask belongs to `dead requeue`');
        }
        if ($which !== null && ($conditions || $ask) && $word === 'requeue') {
            throw new InvalidArgumentException('name an id, a type or `all`, or conditions, or --ask');
        }
    }

    /** @return array{type?: string, reason?: string, before?: int, after?: int} */
    private function conditions(InputInterface $input): array
    {
        $conditions = ['type' => $input->getOption('type'), 'reason' => $input->getOption('reason')]
            + ['before' => $this->moment($input, 'before'), 'after' => $this->moment($input, 'after')];
        return array_filter($conditions, fn ($condition) => $condition !== null);
    }

    /** @param array{type?: string, reason?: string, before?: int, after?: int} $conditions */
    private function list(InputInterface $input, OutputInterface $output, DeadLetters $letters, array $conditions): void
    {
        $tasks = $letters->list((int) $this->number($input, 'limit'), $conditions);
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

    /** @param array{type?: string, reason?: string, before?: int, after?: int} $conditions */
    private function requeue(InputInterface $input, OutputInterface $output, DeadLetters $letters, ?string $which, array $conditions): void
    {
        $wanted = $input->getOption('ask') ? $this->asked($input, $output, $letters, $conditions) : $which ?? $conditions;
        $count = $letters->requeue($wanted);
        if ($count === 0 && $which !== null && $which !== 'all') {
            throw new Refusal("there is no dead task with the id or type $which (`dead` lists them)");
        }
        $this->count($input, $output, $count, 'published again');
    }

    /**
     * The ids that somebody said yes to.
     *
     * @param array{type?: string, reason?: string, before?: int, after?: int} $conditions
     * @return list<string>
     */
    private function asked(InputInterface $input, OutputInterface $output, DeadLetters $letters, array $conditions): array
    {
        if (!$input->isInteractive()) {
            throw new Refusal('nothing was done: nobody can be asked here (instead of --ask use `all`, an id, a type or conditions)');
        }
        $wanted = $asked = [];
        foreach ($letters->list(PHP_INT_MAX, $conditions) as $task) {
            if ($task['type'] === null || isset($asked[$task['id']])) {
                // What is no task stays, and several letters of one task are one question.
                continue;
            }
            $asked[$task['id']] = true;
            $answer = $this->answer($input, $output, self::question($task));
            if ($answer === 'q') {
                break;
            }
            if ($answer === 'y') {
                $wanted[] = $task['id'];
            }
        }
        return $wanted;
    }

    /** @param array<string, mixed> $task */
    private static function question(array $task): string
    {
        return sprintf(
            '%s  <info>%s</info>  %s  %s',
            Text::cell($task['failed_at'], 20),
            Text::cell($task['type'], 50),
            Text::cell($task['reason'], 20),
            Text::cell(Text::firstLine($task['message']), 100),
        )
            . "\n  " . Text::cell($task['id'] . ' ' . Text::json($task['payload']), 200) . "\n  requeue? [y/N/q]";
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
