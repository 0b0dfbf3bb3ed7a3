<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Removes failed jobs by id, for good. */
final class Forget extends Base
{
    protected function configure(): void
    {
        $this->setName('forget')->setDescription('Remove failed jobs, by id')
            ->addArgument('id', InputArgument::REQUIRED | InputArgument::IS_ARRAY, 'Ids as `failed` shows them')
            ->withQueue()
            ->setHelp(<<<'TEXT'
                The jobs are gone for good. <info>flush</info> removes all, <info>prune</info> the old ones.

                  <info>ferry forget 17 18 --queue=mail</info>

                Exit codes: 0 done, 1 an id was not there or the broker did not answer, 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $connection = $this->connection($input);
        $missing = [];
        foreach (array_unique($input->getArgument('id')) as $id) {
            $gone = array_sum(array_map(fn ($queue) => $connection->forgetFailed((string) $id, $queue), $this->connections->queues($input)));
            $gone > 0 ? $output->writeln('Forgotten: ' . Text::cell($id)) : $missing[] = $id;
        }
        if ($missing !== []) {
            throw new Refusal('not among the failed jobs of this queue: ' . implode(' ', $missing) . ' (`failed` lists them, --queue names another one)');
        }
        return self::SUCCESS;
    }
}
