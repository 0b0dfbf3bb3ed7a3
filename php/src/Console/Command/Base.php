<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Column;
use Ferry\Console\Connections;
use Ferry\Console\Grid;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Exception\MissingInputException;
use Symfony\Component\Console\Helper\QuestionHelper;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\OutputInterface;
use Symfony\Component\Console\Output\StreamOutput;
use Symfony\Component\Console\Question\Question;
use Symfony\Component\Console\Terminal;

/** What the commands share: options with the same meaning, tables, JSON, questions. */
abstract class Base extends Command
{
    public function __construct(protected Connections $connections)
    {
        parent::__construct();
    }

    protected function withQueue(string $means = "Queues, separated by commas [default: that of the connection]"): static
    {
        return $this->addOption('queue', null, InputOption::VALUE_REQUIRED, $means);
    }

    protected function withJson(string $means = 'Print JSON'): static
    {
        return $this->addOption('json', null, InputOption::VALUE_NONE, $means);
    }

    protected function withForce(): static
    {
        return $this->addOption('force', 'f', InputOption::VALUE_NONE, 'Do not ask for confirmation');
    }

    protected function connection(InputInterface $input): Connection
    {
        return $this->connections->of($input);
    }

    /** @return list<string> */
    protected function queues(InputInterface $input, Connection $connection): array
    {
        return Connections::queues($input, $connection);
    }

    /** @param list<Column> $columns @param list<list<string|int|array{string|int, string|\Closure}>> $rows plain text */
    protected function table(OutputInterface $output, array $columns, array $rows): void
    {
        (new Grid($columns, self::width($output)))->render($output, $rows);
    }

    /** The width of the terminal; null where the output goes elsewhere. */
    protected static function width(OutputInterface $output): ?int
    {
        return $output instanceof StreamOutput && stream_isatty($output->getStream()) ? (new Terminal())->getWidth() : null;
    }

    protected static function errors(OutputInterface $output): OutputInterface
    {
        return $output instanceof ConsoleOutputInterface ? $output->getErrorOutput() : $output;
    }

    protected static function warn(OutputInterface $output, string $text): void
    {
        self::errors($output)->writeln('<comment>ferry: warning:</comment> ' . Text::cell($text));
    }

    protected function json(OutputInterface $output, mixed $value): void
    {
        $output->writeln(Text::json($value, pretty: true), OutputInterface::OUTPUT_RAW);
    }

    /** Returns when the answer is yes. Where nobody can answer, `--force` is needed. */
    protected function confirm(InputInterface $input, OutputInterface $output, string $question): void
    {
        if ($input->getOption('force')) {
            return;
        }
        if (!$input->isInteractive()) {
            throw new Refusal('nothing was done: this needs a confirmation, and nobody can be asked here (use --force)');
        }
        if ($this->answer($input, $output, "$question [y/N]") !== 'y') {
            throw new Refusal('nothing was done');
        }
    }

    /** The first letter of the answer, in lower case; `n` for an empty one. */
    protected function answer(InputInterface $input, OutputInterface $output, string $question): string
    {
        $helper = $this->getHelper('question');
        assert($helper instanceof QuestionHelper);
        try {
            $answer = (string) $helper->ask($input, $output, new Question("$question "));
        } catch (MissingInputException) {
            throw new Refusal('no answer: stopped here, nothing further was changed');
        }
        return strtolower(substr(trim($answer), 0, 1)) ?: 'n';
    }

    protected function number(InputInterface $input, string $name, float $least = 0): float
    {
        $given = $input->getOption($name);
        if (!is_numeric($given) || $given < $least || !is_finite((float) $given)) {
            throw new InvalidOptionException("--$name needs a number of at least $least");
        }
        return (float) $given;
    }

    /** A time from an option: a Unix timestamp, or a date as PHP reads it (`-2 days`, `2026-01-31 12:00`). */
    protected function moment(InputInterface $input, string $name): ?int
    {
        $given = $input->getOption($name);
        if ($given === null) {
            return null;
        }
        $seconds = ctype_digit($given) ? (int) $given : strtotime($given);
        if ($seconds === false) {
            throw new InvalidOptionException("--$name needs a date (2026-01-31 12:00, -2 days) or a Unix timestamp");
        }
        return $seconds;
    }

    /** `mail` on `redis`, for messages with tags. */
    protected static function place(Connection $connection, string $queue): string
    {
        return sprintf('`%s` on `%s`', Text::cell($queue), Text::cell($connection->getName()));
    }
}
