<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\FailedJobs;
use Ferry\Console\Payload;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Makes failed jobs ready again: some by id, all, those that meet conditions, or those that somebody confirms. */
final class Retry extends Base
{
    use SelectsFailed;

    protected function configure(): void
    {
        $this->setName('retry')->setDescription('Make failed jobs ready again')
            ->addArgument('id', InputArgument::IS_ARRAY, 'Ids as `failed` shows them, or `all`')
            ->withQueue()->withConditions()
            ->addOption('ask', null, InputOption::VALUE_NONE, 'Ask about each job')
            ->setHelp(<<<'TEXT'
                Moves each job from the failed jobs to the ready ones, in one step. Its attempts start again from zero.

                  <info>ferry retry 17 18 --queue=mail</info>
                  <info>ferry retry --job=4711 --queue=mail</info>     by the id that its push returned
                  <info>ferry retry all</info>
                  <info>ferry retry --class='app\job\SendMail' --after='-2 hours'</info>
                  <info>ferry retry --ask --queue=mail</info>          shows every job and asks: y, n, q

                A time is a Unix timestamp or a date as PHP reads it. Without an id, `all`, a condition or --ask nothing is done.
                Exit codes: 0 done, 1 no such job or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $ids = array_map('strval', array_unique($input->getArgument('id')));
        $conditions = $this->conditions($input);
        self::mustBeOneWay($ids, $conditions, $input->getOption('ask'));
        $connection = $this->connection($input);
        $queues = $this->queues($input, $connection);
        $retried = match (true) {
            $input->getOption('ask') => $this->retryAsked($input, $output, $connection, $queues, $conditions),
            $ids === ['all'] => self::retryAll($connection, $queues, 'all'),
            $conditions !== [] => self::retryMatching($connection, $queues, $conditions),
            default => self::retryIds($connection, $queues, $ids),
        };
        $output->writeln(Text::count($retried, 'job') . ' ready again.');
        return self::SUCCESS;
    }

    /** @param list<string> $ids @param array<string, mixed> $conditions */
    private static function mustBeOneWay(array $ids, array $conditions, bool $ask): void
    {
        if ($ids !== [] && ($conditions !== [] || $ask) && !($ask && $ids === ['all'] && $conditions === [])) {
            throw new InvalidArgumentException('name ids, or conditions, or --ask');
        }
        if ($ids === [] && $conditions === [] && !$ask) {
            throw new InvalidArgumentException('which jobs? (ids as `failed` shows them, `all`, --job, --class, --before, --after, --recorded-connection or --ask)');
        }
    }

    /** @param list<string> $queues */
    private static function retryAll(Connection $connection, array $queues, string|array $which): int
    {
        return array_sum(array_map(fn ($queue) => $connection->retryFailed($which, $queue), $queues));
    }

    /** @param list<string> $queues @param array<string, mixed> $conditions */
    private static function retryMatching(Connection $connection, array $queues, array $conditions): int
    {
        $retried = self::retryAll($connection, $queues, $conditions);
        if ($retried === 0) {
            self::refuseUnknown($connection, $queues, $conditions);
        }
        return $retried;
    }

    /** @param list<string> $queues @param list<string> $ids */
    private static function retryIds(Connection $connection, array $queues, array $ids): int
    {
        $missing = array_filter($ids, fn ($id) => self::retryAll($connection, $queues, $id) === 0);
        $retried = count($ids) - count($missing);
        if ($missing !== []) {
            throw new Refusal(Text::count($retried, 'job') . ' ready again; not among the failed jobs of this queue: ' . implode(' ', $missing)
                . ' (`failed` lists them, --queue names another queue)');
        }
        return $retried;
    }

    /** @param list<string> $queues @param array<string, mixed> $conditions */
    private function retryAsked(InputInterface $input, OutputInterface $output, Connection $connection, array $queues, array $conditions): int
    {
        if (!$input->isInteractive()) {
            throw new Refusal('nothing was done: nobody can be asked here (instead of --ask use `all`, ids or conditions)');
        }
        $retried = 0;
        foreach ($queues as $queue) {
            foreach (FailedJobs::matching($connection, $queue, $conditions) as $job) {
                $answer = $this->answer($input, $output, self::question($job));
                if ($answer === 'q') {
                    return $retried;
                }
                $retried += $answer === 'y' ? $connection->retryFailed($job['id'], $queue) : 0;
            }
        }
        return $retried;
    }

    /** @param array<string, mixed> $job */
    private static function question(array $job): string
    {
        return sprintf(
            '%s  <info>%s</info>  %s  %s',
            Text::moment($job['failed_at']),
            Text::cell(Payload::job($job['payload']), 50),
            Text::cell($job['reason'], 20),
            Text::cell(Text::firstLine($job['exception']), 100),
        )
            . "\n  " . Text::cell($job['payload'], 200) . "\n  retry? [y/N/q]";
    }
}
