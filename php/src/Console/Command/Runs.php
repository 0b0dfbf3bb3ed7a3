<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Connections;
use Ferry\Console\Launch;
use Ferry\Console\Process\Child;
use Ferry\Console\Process\Limits;
use Ferry\Console\Process\Log;
use Ferry\Console\Process\Master;
use Ferry\Console\Process\RespawnPolicy;
use Ferry\Console\Refusal;
use Ferry\Console\WorkerOptions;
use Ferry\Console\ExitCode;
use Ferry\Console\PhpFile;
use Ferry\Console\TaskWorker;
use Ferry\Queue;
use Ferry\Worker;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** What `work` and `listen` share: the worker's options, and a master whose children run `work` in a fresh process. */
abstract class Runs extends Base
{
    /** Keys of the bootstrap file's array that are no options of a worker. */
    private const LISTENERS = 'on';
    private const CONTAINER = 'container';

    /**
     * @param array<string, mixed> $bootstrapped what the bootstrap file returned
     * @param bool $isApplicationLoaded whether anything was loaded that may know handlers
     */
    public function __construct(protected Launch $launch, Connections $connections, private array $bootstrapped, private bool $isApplicationLoaded)
    {
        parent::__construct($connections);
    }

    /** @param list<string> $without options that make no sense here */
    protected function withWorkerOptions(array $without = []): static
    {
        $this->addArgument('connection', InputArgument::OPTIONAL, 'The connection, as with --connection');
        foreach (WorkerOptions::definition($without) as $option) {
            $this->getDefinition()->addOption($option);
        }
        return $this
            ->addOption('start-timeout', null, InputOption::VALUE_REQUIRED, 'Seconds within which a new process must reach the broker, or it is killed; 0: no limit', 60)
            ->addOption('force', null, InputOption::VALUE_NONE, 'Accepted for think-queue; changes nothing')
            ->addOption('daemon', null, InputOption::VALUE_NONE, 'Accepted for think-queue; running on is the default here');
    }

    /** Configures the connections and returns the options for a worker. The command line wins over the bootstrap file. */
    protected function workerOptions(InputInterface $input, OutputInterface $output): array
    {
        $this->connections->configure($input);
        if (!empty($input->getOption('queue'))) {
            Connections::names($input->getOption('queue'));
        }
        $given = WorkerOptions::forWorker($input) + array_diff_key($this->bootstrapped, [self::LISTENERS => null, self::CONTAINER => null]);
        if ($output->isQuiet()) {
            $given = ['log' => 'none', 'status' => 0] + $given;
        }
        $name = self::connectionName($input);
        return ($name === null ? [] : ['connection' => $name]) + $given + ['status' => 60];
    }

    /** @param array<string, mixed> $options */
    protected function worker(InputInterface $input, array $options): Worker|TaskWorker
    {
        $worker = self::runsTasks($input) ? $this->taskWorker($input, $options) : new Worker($options);
        foreach ($this->listeners() as $event => $listeners) {
            foreach (is_callable($listeners) ? [$listeners] : (array) $listeners as $listener) {
                $worker->on((string) $event, $listener);
            }
        }
        return $worker;
    }

    protected static function runsTasks(InputInterface $input): bool
    {
        return $input->hasOption('tasks') && $input->getOption('tasks');
    }

    /** @param array<string, mixed> $options */
    private function taskWorker(InputInterface $input, array $options): TaskWorker
    {
        $file = $input->getOption('registry') ?? throw new InvalidOptionException('--tasks needs --registry=FILE, a PHP file that returns the handlers');
        $answer = (new PhpFile($this->launch->path($file), 'the registry file', '--registry'))->load($file);
        $decode = $input->getOption('decode');
        if ($decode !== null) {
            $options['decode'] = TaskWorker::decoder((new PhpFile($this->launch->path($decode), 'the decode file', '--decode'))->load($decode), $decode);
        }
        $container = $this->bootstrapped[self::CONTAINER] ?? null;
        $registry = TaskWorker::registry($answer, is_object($container) ? $container : null, $file);
        return new TaskWorker(Queue::connection($options['connection'] ?? null), $registry, array_diff_key($options, ['connection' => null]));
    }

    /** @return array<string, mixed> */
    private function listeners(): array
    {
        $listeners = $this->bootstrapped[self::LISTENERS] ?? [];
        if (!is_array($listeners)) {
            throw new Refusal('`on` in the array of the bootstrap file must be an array of event => callable, not ' . get_debug_type($listeners), ExitCode::WRONG);
        }
        return $listeners;
    }

    /** Without --bootstrap and without an autoloader no handler can be found, and each job would fail. */
    protected function warnWithoutApplication(OutputInterface $output): void
    {
        if (!$this->isApplicationLoaded) {
            self::warn($output, "no application is loaded, so handler classes will not be found: there is no --bootstrap and no vendor/autoload.php in {$this->launch->directory}"
                . ' (name the file that loads the application with --bootstrap=FILE)');
        }
    }

    private static function connectionName(InputInterface $input): ?string
    {
        [$argument, $option] = [$input->getArgument('connection'), $input->getOption('connection')];
        if ($argument !== null && $option !== null && $argument !== $option) {
            throw new InvalidOptionException("two connections are named: $argument and --connection=$option");
        }
        return $argument ?? $option;
    }

    /** @param list<string> $extra words for the children */
    protected function master(InputInterface $input, OutputInterface $output, int $processes, string $kind, array $extra = []): int
    {
        $options = $this->workerOptions($input, $output);
        // Wrong options are reported once, here, before any process is started. Nothing is connected.
        $this->worker($input, $options);
        $this->warnWithoutApplication($output);
        if (!function_exists('proc_open')) {
            throw new Refusal('this PHP cannot start processes: proc_open is disabled (see `disable_functions` in php.ini)');
        }
        $format = is_string($options['log'] ?? 'plain') ? $options['log'] ?? 'plain' : 'plain';
        $log = new Log($format, (string) ($options['log_level'] ?? 'info'));
        $stop = $options['stop_timeout'] ?? null;
        $limits = new Limits($this->number($input, 'start-timeout'), $stop === null ? null : (float) $stop, (float) ($options['grace'] ?? 10));
        $start = fn (int $slot, bool $paused, int $generation, \Closure $print) => Child::start(
            $this->launch->command([...$this->childWords($input, $output, $slot, $paused), ...$extra]),
            $this->launch->directory,
            $this->launch->environment,
            $generation,
            $print,
            $paused,
        );
        return (new Master($processes, new RespawnPolicy($kind), $limits, $log, $start, $kind === RespawnPolicy::FRESH))->run();
    }

    /** @return list<string> */
    private function childWords(InputInterface $input, OutputInterface $output, int $slot, bool $paused): array
    {
        $words = ['work', '--no-interaction', '--parent=' . getmypid(), '--control=' . Child::CONTROL];
        if (self::runsTasks($input)) {
            $words[] = '--tasks';
        }
        foreach (['bootstrap', 'config', 'registry', 'decode'] as $name) {
            $value = $input->hasOption($name) ? $input->getOption($name) : null;
            array_push($words, ...($value === null ? [] : ["--$name=$value"]));
        }
        $name = self::connectionName($input);
        array_push($words, ...($name === null ? [] : ["--connection=$name"]), ...($paused ? ['--paused'] : []));
        array_push($words, ...($output->isQuiet() ? ['--quiet'] : []), ...WorkerOptions::words($input, $slot));
        return $words;
    }
}
