<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Connections;
use Ferry\Console\Suggestion;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Queues as arguments, or as --queue like everywhere else. */
trait NamesQueues
{
    /** @return list<string> */
    private function named(InputInterface $input, Connection $connection): array
    {
        $given = $input->getArgument('queues');
        return $given === [] ? $this->queues($input, $connection) : array_map(fn ($name) => Connections::checked($name, "`$name`"), $given);
    }

    /**
     * Warns of a queue that nothing knows: a typing mistake would go unnoticed otherwise. It may also be a queue of tomorrow, so it is no error.
     *
     * @param list<string> $known queues that workers and flags name
     */
    private static function warnOfUnknown(OutputInterface $output, Connection $connection, string $queue, array $known): void
    {
        if (!in_array($queue, $known, true) && array_sum($connection->stats($queue)) === 0) {
            self::warn($output, "no worker works the queue `$queue`, and it holds no jobs" . Suggestion::hint($queue, $known));
        }
    }

    /** The queues of workers, paused ones and the default one. @return list<string> */
    private static function known(Connection $connection): array
    {
        $paused = array_map('strval', array_keys($connection->flags()['paused']));
        return array_merge([Connections::defaultQueue($connection)], $paused, ...array_column($connection->workers(), 'queues'));
    }
}
