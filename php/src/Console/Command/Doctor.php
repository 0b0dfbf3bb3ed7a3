<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Connections;
use Ferry\Console\Doctor\Checks;
use Ferry\Console\Doctor\Finding;
use Ferry\Console\Doctor\AmqpChecks;
use Ferry\Console\Doctor\PostgresChecks;
use Ferry\Console\Doctor\RedisChecks;
use Ferry\Console\Doctor\MysqlChecks;
use Ferry\Console\Doctor\SqliteChecks;
use Ferry\Console\QueueCounts;
use Ferry\Console\Text;
use Ferry\Queue;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Checks configuration, broker, workers and PHP, and says what to change. Changes nothing. */
final class Doctor extends Base
{
    /** Where the text of a finding begins. */
    private const INDENT = 20;

    /** @param array<string, mixed> $worker what the bootstrap file returned for workers */
    public function __construct(Connections $connections, private array $worker)
    {
        parent::__construct($connections);
    }

    protected function configure(): void
    {
        $this->setName('doctor')->setDescription('Check for mistakes and risks, and say what to change')->withQueue()->withJson()
            ->addOption('timeout', null, InputOption::VALUE_REQUIRED, 'The --timeout of the Ferry workers', 60)
            ->addOption('retry-after', null, InputOption::VALUE_REQUIRED, 'Seconds or never, in place of the retry_after of the connection')
            ->addOption('allowed-classes', null, InputOption::VALUE_REQUIRED | InputOption::VALUE_IS_ARRAY, 'The --allowed-classes of the Ferry workers [default: that of the bootstrap file]')
            ->addOption('strict', null, InputOption::VALUE_NONE, 'The Ferry workers run with --strict')
            ->addOption('old-workers', null, InputOption::VALUE_NONE, 'Workers of think-queue work the same queues')
            ->addOption('old-timeout', null, InputOption::VALUE_REQUIRED, 'Their --timeout; implies --old-workers [default: 60]')
            ->addOption('old-retry-after', null, InputOption::VALUE_REQUIRED, 'Their retry_after; implies --old-workers [default: 60]')
            ->setHelp(<<<'TEXT'
                Changes nothing. Every finding is ok, note, warn or bad, says what it means and, where needed, what to change.

                  <info>ferry doctor --config=config/queue.php --queue=high,mail --timeout=300</info>
                  <info>ferry doctor --old-workers --old-timeout=60 --old-retry-after=90</info>
                  <info>ferry doctor --json</info>        an object with worst (ok, warn, bad) and findings (level, topic, means, change)

                Exit codes: 0 no findings, 1 warnings, 2 something is bad, or wrong usage or configuration.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $findings = $this->findings($input);
        $code = Finding::worst($findings);
        if ($input->getOption('json')) {
            $worst = [Finding::OK, Finding::WARN, Finding::BAD][$code];
            $this->json($output, ['worst' => $worst, 'findings' => array_map('get_object_vars', $findings)]);
        } else {
            array_map(fn ($finding) => self::show($output, $finding), $findings);
        }
        return $code;
    }

    /** @return list<Finding> */
    private function findings(InputInterface $input): array
    {
        // Wrong usage is reported before the broker is asked.
        $timeout = $this->number($input, 'timeout');
        $input->getOption('queue') === null || Connections::names($input->getOption('queue'));
        $old = $this->oldWorkers($input);
        $retry_after = $this->retryAfter($input);
        $php = [Checks::extension((string) phpversion('ferry')), ...Checks::php(self::ofPhp()), $this->objectJobs($input)];
        $connection = $this->connection($input);
        // An older extension has no notices: it refuses such a configuration.
        $php = [...$php, ...(method_exists(Queue::class, 'notices') ? Checks::configuration(Queue::notices()) : [])];
        try {
            $facts = $connection->facts();
        } catch (\Ferry\BrokerException $e) {
            return [...$php, Finding::bad('Broker', $e->getMessage(), 'See the message.')];
        }
        $facts += ['driver' => ''];
        $retry_after ??= $facts['retry_after'] ?? 'never';
        return [
            ...$php,
            ...self::broker($facts, $timeout),
            ...array_filter([Checks::clock($facts['clock_skew'] ?? null)]),
            // RabbitMQ has no leases: it redelivers the jobs of a dead worker at once.
            ...($facts['driver'] === 'amqp' ? [] : Checks::leases($retry_after, $timeout)),
            ...($old === null ? [] : Checks::oldWorkers($retry_after, $old[0], $old[1], $facts['driver'])),
            ...self::fleet($connection, $this->queues($input, $connection), $facts['driver']),
        ];
    }

    private function objectJobs(InputInterface $input): Finding
    {
        $allowed = $input->getOption('allowed-classes') ?: $this->worker['allowed_classes'] ?? null;
        return Checks::objectJobs($allowed, $input->getOption('strict') || ($this->worker['strict'] ?? false));
    }

    /** What --retry-after says: seconds, `never`, or null. */
    private function retryAfter(InputInterface $input): int|string|null
    {
        $given = $input->getOption('retry-after');
        return $given === null || $given === 'never' ? $given : (int) $this->number($input, 'retry-after');
    }

    /** @return array{int, int}|null retry_after and timeout of old workers, null when there are none */
    private function oldWorkers(InputInterface $input): ?array
    {
        $given = [$input->getOption('old-retry-after'), $input->getOption('old-timeout')];
        if (!$input->getOption('old-workers') && $given === [null, null]) {
            return null;
        }
        foreach (['old-retry-after', 'old-timeout'] as $name) {
            $input->getOption($name) ?? $input->setOption($name, (string) Checks::THINK_DEFAULT);
        }
        return [(int) $this->number($input, 'old-retry-after'), (int) $this->number($input, 'old-timeout')];
    }

    /** @param array<string, mixed> $facts @return list<Finding> */
    private static function broker(array $facts, float $timeout): array
    {
        return match ($facts['driver'] ?? '') {
            'redis' => RedisChecks::all($facts),
            'sqlite' => SqliteChecks::all($facts),
            'mysql' => MysqlChecks::all($facts),
            'postgres' => PostgresChecks::all($facts),
            'amqp' => AmqpChecks::all($facts, $timeout),
            default => [],
        };
    }

    /** @param list<string> $queues @return list<Finding> */
    private static function fleet(Connection $connection, array $queues, string $driver): array
    {
        try {
            [$workers, $paused] = [$connection->workers(), $connection->flags()['paused']];
        } catch (\Ferry\ConfigException) {
            [$workers, $paused] = [null, []];
        }
        $findings = array_map(fn ($queue) => Checks::queue($queue, QueueCounts::of($connection, $queue, $driver), $workers, $paused, time()), $queues);
        return [Checks::workers($workers, time()), ...array_merge(...$findings)];
    }

    /** @return array{version: string, pcntl: bool, posix: bool, proc_open: bool, memory_limit: int, files: ?int} */
    private static function ofPhp(): array
    {
        $limits = function_exists('posix_getrlimit') ? posix_getrlimit() : [];
        return [
            'version' => PHP_VERSION,
            'pcntl' => function_exists('pcntl_signal'),
            'posix' => function_exists('posix_setpgid'),
            'proc_open' => function_exists('proc_open'),
            'memory_limit' => self::bytes((string) ini_get('memory_limit')),
            'files' => is_int($limits['soft openfiles'] ?? null) ? $limits['soft openfiles'] : null,
        ];
    }

    /** A size as php.ini has it; PHP 8.1 has no function for that. */
    private static function bytes(string $size): int
    {
        $power = ['k' => 10, 'm' => 20, 'g' => 30][strtolower(substr($size, -1))] ?? 0;
        return (int) $size << $power;
    }

    private static function show(OutputInterface $output, Finding $finding): void
    {
        $tag = ['ok' => 'info', 'note' => 'comment', 'warn' => 'comment', 'bad' => 'error'][$finding->level];
        $lines = [...self::wrapped($output, $finding->means), ...self::wrapped($output, $finding->change)];
        $output->writeln(sprintf('<%s>%-4s</> %-14s %s', $tag, $finding->level, Text::cell($finding->topic), array_shift($lines)));
        array_map(fn ($line) => $output->writeln(str_repeat(' ', self::INDENT) . $line), $lines);
    }

    /** The lines of a text, which are as wide as the terminal allows. @return list<string> */
    private static function wrapped(OutputInterface $output, string $text): array
    {
        $width = self::width($output);
        $lines = $width === null ? [$text] : explode("\n", wordwrap(Text::clean($text), max(20, $width - self::INDENT)));
        return $text === '' ? [] : array_map(fn ($line) => Text::cell($line), $lines);
    }
}
