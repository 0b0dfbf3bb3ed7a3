<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Connections;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Exception\MissingInputException;
use Symfony\Component\Console\Helper\QuestionHelper;
use Symfony\Component\Console\Helper\Table;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\OutputInterface;
use Symfony\Component\Console\Question\Question;

/** What the commands share: options of one meaning, tables, JSON, questions. */
abstract class Base extends Command
{
    public function __construct(protected Connections $connections)
    {
        parent::__construct();
    }

    protected function withQueue(string $means = "Queues, with commas between them [default: the connection's]"): static
    {
        return $this->addOption('queue', null, InputOption::VALUE_REQUIRED, $means);
    }

    protected function withJson(string $means = 'Print JSON, for machines'): static
    {
        return $this->addOption('json', null, InputOption::VALUE_NONE, $means);
    }

    protected function withForce(): static
    {
        return $this->addOption('force', 'f', InputOption::VALUE_NONE, 'Do not ask');
    }

    protected function connection(InputInterface $input): Connection
    {
        return $this->connections->of($input);
    }

    /** @param list<string> $head @param list<list<string|int|float>> $rows */
    protected function table(OutputInterface $output, array $head, array $rows): void
    {
        (new Table($output))->setStyle('compact')->setHeaders($head)->setRows($rows)->render();
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

    /** Goes on when the answer is yes. Where nobody can answer, `--force` is the answer. */
    protected function confirm(InputInterface $input, OutputInterface $output, string $question): void
    {
        if ($input->getOption('force')) {
            return;
        }
        if (!$input->isInteractive()) {
            throw new Refusal('nothing was done: nobody is there to be asked (say --force)');
        }
        if ($this->answer($input, $output, "$question [y/N]") !== 'y') {
            throw new Refusal('nothing was done');
        }
    }

    /** The first letter of what is answered, in lower case; `n` for nothing. */
    protected function answer(InputInterface $input, OutputInterface $output, string $question): string
    {
        $helper = $this->getHelper('question');
        assert($helper instanceof QuestionHelper);
        try {
            $answer = (string) $helper->ask($input, $output, new Question("$question "));
        } catch (MissingInputException) {
            throw new Refusal('nobody answered: nothing more was done');
        }
        return strtolower(substr(trim($answer), 0, 1)) ?: 'n';
    }

    protected function number(InputInterface $input, string $name, float $least = 0): float
    {
        $given = $input->getOption($name);
        if (!is_numeric($given) || $given < $least || !is_finite((float) $given)) {
            throw new InvalidOptionException("--$name wants a number of at least $least");
        }
        return (float) $given;
    }

    /** A moment from an option: a unix second, or whatever PHP reads as a date (`-2 days`, `2026-01-31 12:00`). */
    protected function moment(InputInterface $input, string $name): ?int
    {
        $given = $input->getOption($name);
        if ($given === null) {
            return null;
        }
        $seconds = ctype_digit($given) ? (int) $given : strtotime($given);
        if ($seconds === false) {
            throw new InvalidOptionException("--$name wants a date (2026-01-31 12:00, -2 days) or a unix second");
        }
        return $seconds;
    }

    /** `queue `mail` on `redis``, for messages. */
    protected static function place(Connection $connection, ?string $queue): string
    {
        $of = Text::cell($connection->getName());
        return $queue === null ? "the own queue of `$of`" : sprintf('`%s` on `%s`', Text::cell($queue), $of);
    }
}
