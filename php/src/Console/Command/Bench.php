<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Connection;
use Ferry\Console\Bench\Chart;
use Ferry\Console\Bench\DelayProxy;
use Ferry\Console\Bench\Endpoint;
use Ferry\Console\Bench\Measurement;
use Ferry\Console\Bench\Statistics;
use Ferry\Console\Column;
use Ferry\Console\Connections;
use Ferry\Console\ExitCode;
use Ferry\Console\Launch;
use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Ferry\Queue;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Measures Ferry on the user's own server. */
final class Bench extends Base
{
    /** Measurement => [title with its unit, decimals]. */
    private const TITLES = [
        'push' => ['Push, jobs/s', 0],
        'bulk' => ['Bulk, jobs/s', 0],
        'drain' => ['Drain, jobs/s', 0],
        'fire_median' => ['Push to fire, ms', 2],
        'fire_p95' => ['p95, ms', 2],
    ];

    public function __construct(private Launch $launch, Connections $connections)
    {
        parent::__construct($connections);
    }

    protected function configure(): void
    {
        $this->setName('bench')->setDescription('Measure push, bulk, drain and push to fire on your own server')->withJson()->withForce()
            ->addOption('queue', null, InputOption::VALUE_REQUIRED, 'An empty queue for the jobs of the measurement [default: a new name]')
            ->addOption('jobs', null, InputOption::VALUE_REQUIRED, 'Most jobs that one measurement pushes', 10_000)
            ->addOption('seconds', null, InputOption::VALUE_REQUIRED, 'Most seconds that one measurement pushes', 2)
            ->addOption('rounds', null, InputOption::VALUE_REQUIRED, 'How often each measurement is repeated; the median counts', 3)
            ->addOption('network-delay', null, InputOption::VALUE_REQUIRED, 'Milliseconds added to each round trip, several separated by commas: 0,0.2,1,5', '0')
            ->addOption('svg', null, InputOption::VALUE_REQUIRED, 'Write a chart to this file')
            ->setHelp(<<<'TEXT'
                  <info>ferry bench</info>
                  <info>ferry bench --network-delay=0,0.2,1,5 --svg=ferry.svg</info>   a loopback alone says little about a network
                  <info>ferry bench --force --json</info>                             every round, for scripts

                <comment>What is measured.</comment> Push: push() one by one. Bulk: bulk() with 1,000 jobs a call. Drain: one worker whose handler does nothing.
                Push to fire: from push() to fire() in an idle worker in another process, 50 times; needs the extensions pcntl and posix.

                <comment>Safety.</comment> The jobs go to a queue of their own, which must be empty, and are removed at the end; on RabbitMQ the empty queue
                stays. The server is busy meanwhile: do not run it beside production traffic. You are asked first; --force does not ask.

                <comment>Network delay.</comment> A local proxy holds back the bytes of each connection. The proxy itself costs about 0.1 ms a round trip, also at
                a delay of 0. Needs pcntl and posix, a connection over TCP without TLS, and its configuration from --config, FERRY_URL or ferry.url.

                Exit codes: 0 done, 1 the broker did not answer, 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $delays = self::delays($input);
        $connection = $this->connection($input);
        $queue = $this->emptyQueue($input, $connection);
        $this->confirm($input, $output, sprintf('Jobs will be pushed to %s and run here. Go on?', self::place($connection, $queue)));
        $results = $delays === null
            ? ['none' => $this->measured($input, $output, $connection, $queue)]
            : $this->measuredWithDelays($input, $output, $delays, $queue);
        $machine = self::machine($connection);
        $this->write($input, $machine, $results);
        if ($input->getOption('json')) {
            $this->json($output, ['machine' => $machine, 'queue' => $queue, 'results' => array_map(self::named(...), array_map('strval', array_keys($results)), $results)]);
        } else {
            $this->show($output, $machine, $results);
        }
        return self::SUCCESS;
    }

    /** @return list<string>|null null: directly, without the proxy */
    private static function delays(InputInterface $input): ?array
    {
        $given = (string) $input->getOption('network-delay');
        $delays = explode(',', $given);
        foreach ($delays as $delay) {
            if (!is_numeric($delay) || $delay < 0 || $delay > 1000) {
                throw new InvalidOptionException('--network-delay needs milliseconds from 0 to 1000, separated by commas');
            }
        }
        if ($delays === ['0']) {
            return null;
        }
        return self::canFork() ? $delays : throw new Refusal('--network-delay needs the extensions pcntl and posix', ExitCode::WRONG);
    }

    private static function canFork(): bool
    {
        return function_exists('pcntl_fork') && function_exists('posix_kill');
    }

    /** Nobody's jobs are run or removed. */
    private function emptyQueue(InputInterface $input, Connection $connection): string
    {
        $queue = $input->getOption('queue') ?? 'ferry-bench-' . bin2hex(random_bytes(4));
        Connections::checked($queue, "--queue=$queue");
        $size = $input->getOption('queue') === null ? 0 : $connection->size($queue);
        if ($size > 0) {
            throw new Refusal("nothing was done: the queue $queue holds " . Text::count($size, 'job') . ' (name an empty one, or leave --queue out)', ExitCode::WRONG);
        }
        return $queue;
    }

    /** @param list<string> $delays @return array<string, array<string, list<float>>> */
    private function measuredWithDelays(InputInterface $input, OutputInterface $output, array $delays, string $queue): array
    {
        $endpoint = Endpoint::of($this->connections->config($input), $input->getOption('connection'));
        $results = [];
        foreach ($delays as $delay) {
            $proxy = DelayProxy::start($endpoint->host, $endpoint->port, (float) $delay);
            try {
                Queue::configure($endpoint->at('127.0.0.1', $proxy->port));
                $results["$delay ms"] = $this->measured($input, $output, Queue::connection(), $queue, " with a network delay of $delay ms");
            } finally {
                $proxy->stop();
                $this->connections->configure($input);
            }
        }
        return $results;
    }

    /** @return array<string, list<float>> by measurement, the value of each round */
    private function measured(InputInterface $input, OutputInterface $output, Connection $connection, string $queue, string $where = ''): array
    {
        $measurement = new Measurement($connection, $queue, (int) $this->number($input, 'jobs', 1), $this->number($input, 'seconds', 0.01));
        $rounds = (int) $this->number($input, 'rounds', 1);
        $values = [];
        try {
            for ($round = 1; $round <= $rounds; $round++) {
                self::errors($output)->writeln("round $round of $rounds$where", OutputInterface::VERBOSITY_VERBOSE);
                foreach (['push', 'bulk', 'drain'] as $name) {
                    $values[$name][] = $measurement->$name();
                }
                $times = self::canFork() ? $measurement->pushToFire() : [];
                if ($times !== []) {
                    $values['fire_median'][] = Statistics::median($times);
                    $values['fire_p95'][] = Statistics::quantile($times, 0.95);
                }
            }
        } finally {
            $measurement->clear();
        }
        return $values;
    }

    /** @return array<string, string> */
    private static function machine(Connection $connection): array
    {
        $facts = $connection->facts();
        $cores = substr_count((string) @file_get_contents('/proc/cpuinfo'), "processor\t");
        return array_filter([
            'ferry' => (string) phpversion('ferry'),
            'php' => PHP_VERSION,
            'broker' => trim(($facts['driver'] ?? '') . ' ' . ($facts['version'] ?? '')),
            'cores' => $cores === 0 ? '' : (string) $cores,
            'load' => implode(' ', array_map(fn ($load) => sprintf('%.2f', $load), sys_getloadavg() ?: [])),
            'date' => date('Y-m-d H:i'),
        ]);
    }

    /** @param array<string, list<float>> $values @return array<string, mixed> */
    private static function named(string $delay, array $values): array
    {
        return ['network_delay' => $delay, 'median' => array_map(Statistics::median(...), $values), 'rounds' => $values];
    }

    /** @param array<string, string> $machine @param array<string, array<string, list<float>>> $results */
    private function show(OutputInterface $output, array $machine, array $results): void
    {
        $output->writeln(array_map(fn ($name) => Text::cell(sprintf('%-8s%s', $name, $machine[$name])), array_keys($machine)));
        $output->writeln('');
        $columns = [new Column('Network delay'), ...array_map(fn ($title) => new Column($title[0]), array_values(self::TITLES))];
        $rows = [];
        foreach ($results as $delay => $values) {
            $cells = array_map(fn ($name) => isset($values[$name]) ? number_format(Statistics::median($values[$name]), self::TITLES[$name][1]) : '-', array_keys(self::TITLES));
            $rows[] = [(string) $delay, ...$cells];
        }
        $this->table($output, $columns, $rows);
    }

    /** @param array<string, string> $machine @param array<string, array<string, list<float>>> $results */
    private function write(InputInterface $input, array $machine, array $results): void
    {
        $file = $input->getOption('svg');
        if ($file === null) {
            return;
        }
        $groups = [];
        foreach (array_keys(self::TITLES) as $name) {
            $measured = array_filter(array_map(fn ($values) => isset($values[$name]) ? Statistics::median($values[$name]) : null, $results));
            if ($measured !== []) {
                $groups[self::TITLES[$name][0]] = array_combine(array_map(fn ($delay) => "delay $delay", array_keys($measured)), $measured);
            }
        }
        $title = "Ferry $machine[ferry], PHP $machine[php], $machine[broker]";
        if (@file_put_contents($this->launch->path($file), Chart::svg($title, $groups)) === false) {
            throw new Refusal("the chart could not be written to $file");
        }
    }
}
