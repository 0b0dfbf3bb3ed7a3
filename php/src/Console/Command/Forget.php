<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Removes failed jobs for good, by id or by conditions. */
final class Forget extends Base
{
    use SelectsFailed;

    protected function configure(): void
    {
        $this->setName('forget')->setDescription('Remove failed jobs, by id, class or time')
            ->addArgument('id', InputArgument::IS_ARRAY, 'Ids as `failed` shows them')
            ->withQueue()->withConditions()
            ->setHelp(<<<'TEXT'
                Removes failed jobs for good. <info>flush</info> removes all of a queue, <info>prune</info> those of a certain age.

                  <info>ferry forget 17 18 --queue=mail</info>
                  <info>ferry forget --class=SendMail --before=-7days --queue=mail</info>

                Exit codes: 0 done, 1 no such job or the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$ids, $conditions] = [array_map('strval', array_unique($input->getArgument('id'))), $this->conditions($input)];
        if (($ids === []) === ($conditions === [])) {
            throw new InvalidArgumentException('name the jobs by ids as `failed` shows them, or by --job, --class, --before, --after or --recorded-connection (`flush` removes all)');
        }
        $connection = $this->connection($input);
        $queues = $this->queues($input, $connection);
        $ids === [] ? $this->forgetMatching($output, $connection, $queues, $conditions) : $this->forgetIds($output, $connection, $queues, $ids);
        return self::SUCCESS;
    }

    /** @param list<string> $queues @param array<string, mixed> $conditions */
    private function forgetMatching(OutputInterface $output, Connection $connection, array $queues, array $conditions): void
    {
        $gone = array_sum(array_map(fn ($queue) => $connection->forgetFailed($conditions, $queue), $queues));
        if ($gone === 0) {
            self::refuseUnknown($connection, $queues, $conditions);
        }
        $output->writeln(Text::count($gone, 'failed job') . ' removed.');
    }

    /** @param list<string> $queues @param list<string> $ids */
    private function forgetIds(OutputInterface $output, Connection $connection, array $queues, array $ids): void
    {
        $missing = [];
        foreach ($ids as $id) {
            $gone = array_sum(array_map(fn ($queue) => $connection->forgetFailed($id, $queue), $queues));
            $gone > 0 ? $output->writeln('Forgotten: ' . Text::cell($id)) : $missing[] = $id;
        }
        if ($missing !== []) {
            throw new Refusal('not among the failed jobs of this queue: ' . implode(' ', $missing) . ' (`failed` lists them, --queue names another queue)');
        }
    }
}
