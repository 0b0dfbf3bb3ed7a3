<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\FailedJobs;
use Ferry\Console\Refusal;
use Ferry\Console\Suggestion;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;

/** The conditions for failed jobs. A job must meet all that are given. */
trait SelectsFailed
{
    private function withConditions(): static
    {
        return $this
            ->addOption('class', null, InputOption::VALUE_REQUIRED, 'Only jobs of this handler class, or object jobs of this class')
            ->addOption('before', null, InputOption::VALUE_REQUIRED, 'Only jobs that failed before this time')
            ->addOption('after', null, InputOption::VALUE_REQUIRED, 'Only jobs that failed at this time or later')
            ->addOption('job', null, InputOption::VALUE_REQUIRED, 'Only the job whose push returned this id')
            ->addOption('recorded-connection', null, InputOption::VALUE_REQUIRED, 'Only jobs whose record names this connection; those of other connections in a shared table need it');
    }

    /** As `retryFailed()` takes them. @return array{class?: string, before?: int, after?: int, job?: string, connection?: string} */
    private function conditions(InputInterface $input): array
    {
        $conditions = [
            'class' => $input->getOption('class'),
            'before' => $this->moment($input, 'before'),
            'after' => $this->moment($input, 'after'),
            'job' => $input->getOption('job'),
            'connection' => $input->getOption('recorded-connection'),
        ];
        return array_filter($conditions, fn ($condition) => $condition !== null);
    }

    /**
     * For a command that found no job: an id or a class that no failed job has is a typing mistake.
     *
     * @param list<string> $queues
     * @param array<string, mixed> $conditions
     */
    private static function refuseUnknown(Connection $connection, array $queues, array $conditions): void
    {
        if (isset($conditions['job'])) {
            throw new Refusal("nothing was done: no failed job was pushed as $conditions[job], or another condition excludes it (`failed` lists them, --queue names another queue)");
        }
        self::refuseUnknownClass($connection, $queues, $conditions);
    }

    /**
     * @param list<string> $queues
     * @param array<string, mixed> $conditions
     */
    private static function refuseUnknownClass(Connection $connection, array $queues, array $conditions): void
    {
        $class = $conditions['class'] ?? null;
        if ($class === null) {
            return;
        }
        $known = FailedJobs::classes($connection, $queues);
        $plain = fn (string $name) => strtolower(ltrim($name, '\\'));
        if (!in_array($plain($class), array_map($plain, $known), true)) {
            $seen = $known === [] ? '' : '; there are failed jobs of ' . implode(', ', array_slice($known, 0, 5)) . (count($known) > 5 ? ', ...' : '');
            throw new Refusal("nothing was done: no failed job of the class $class" . Suggestion::hint($class, $known) . $seen);
        }
    }
}
