<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Process\Control;
use Ferry\Console\Process\RespawnPolicy;
use Ferry\Console\Refusal;
use Ferry\Console\TaskWorker;
use Ferry\Queue;
use Ferry\Worker;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** Runs jobs, in this process or in several fresh ones. */
final class Work extends Runs
{
    /** Three pipes each, and select() takes 1024 descriptors. */
    private const MOST = 300;

    protected function configure(): void
    {
        $this->setName('work')->setDescription('Run jobs, in this process or in several')
            ->withWorkerOptions()
            ->addOption('processes', 'p', InputOption::VALUE_REQUIRED, 'Keep this many worker processes alive; without it this process is the worker')
            ->addOption('tasks', null, InputOption::VALUE_NONE, 'Run the tasks of `Ferry\Task` on RabbitMQ instead of jobs')
            ->addOption('registry', null, InputOption::VALUE_REQUIRED, 'For --tasks: PHP file that returns a TaskHandlerRegistry, or a list of handlers or their classes')
            ->addOption('decode', null, InputOption::VALUE_REQUIRED, 'For --tasks: PHP file that returns the callable that makes tasks of messages of other programs')
            ->addOption('parent', null, InputOption::VALUE_REQUIRED, 'For masters: exit when the parent process is not this pid any more')
            ->addOption('control', null, InputOption::VALUE_REQUIRED, 'For masters: file descriptor for reports about this process')
            ->addOption('paused', null, InputOption::VALUE_NONE, 'Start paused; CONT resumes')
            ->setHelp(<<<'TEXT'
                  <info>ferry work --bootstrap=app/boot.php --queue=high,mail --tries=3</info>
                  <info>ferry work redis --once</info>                          one job from the connection `redis`
                  <info>ferry work --processes=4 --memory=256 --max-time=3600</info>
                  <info>ferry work --stop-when-empty --log=json</info>

                <comment>Handlers.</comment> --bootstrap names the PHP file that loads the application. It may return an array of worker options that a
                command line cannot express: `handler`, `job`, `handlers`, a PSR-3 object as `log`; and listeners under `on`, as
                event => callable. The command line wins.

                <comment>Several processes.</comment> With --processes=N this process is a master: it starts N fresh PHP processes and replaces those that end, after
                0, 1, 2, 4 ... 30 s when they fail soon after their start. --processes=1 is useful too: limits and HUP replace the worker.
                With --once and --stop-when-empty a process that fails five times in a row is not started again.

                <comment>Tasks.</comment> ferry work rabbit --tasks --registry=tasks.php --processes=4
                --tasks runs the tasks of RabbitMQ in the same way: processes, signals, limits, --timeout, logs and exit codes. Without --queue
                these are task.high, task.normal and task.low. If the bootstrap file returns a PSR-11 `container`, it makes the classes in the
                registry file that it knows. --decode=FILE names the PHP file that returns the `decode` callback of TaskConsumer.

                <comment>Signals.</comment> TERM, INT, QUIT: finish the running job and exit; a second one interrupts the job and gives it back. USR2 pauses,
                CONT resumes. HUP: a worker exits; a master replaces its workers one by one, each after its successor is ready.

                <comment>think-queue.</comment> All options of queue:work are accepted. --daemon and --force change nothing; --delay, --memory, --timeout,
                --sleep and --tries mean the same. Defaults that differ: --delay grows from 1 to 60 s (0 there), --memory has no limit
                (128 there), --sleep only counts for --once.

                <comment>Exit codes.</comment> 0 asked to stop, or a limit was reached; 1 could not start, or standard output was closed; 2 wrong usage or
                configuration; 12 memory limit; 13 a handler ended the process; 14 a job did not end after its timeout; 15 the broker was
                unreachable for --max-outage. A master exits with 0; with --once or --stop-when-empty with the highest code of its workers.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        foreach (['registry', 'decode'] as $name) {
            if ($input->getOption($name) !== null && !$input->getOption('tasks')) {
                throw new InvalidOptionException("--$name belongs to --tasks");
            }
        }
        $processes = $input->getOption('processes');
        return $processes === null
            ? $this->workHere($input, $output)
            : $this->master($input, $output, self::count($processes, $input), self::kind($input));
    }

    private static function count(string $processes, InputInterface $input): int
    {
        if (!ctype_digit($processes) || (int) $processes < 1 || (int) $processes > self::MOST) {
            throw new InvalidOptionException('--processes needs a number from 1 to ' . self::MOST);
        }
        $health = $input->getOption('health-file');
        if ((int) $processes > 1 && $health !== null && !str_contains($health, '{slot}')) {
            throw new InvalidOptionException('--health-file needs a file for each process: put {slot} where the number of the process goes');
        }
        return (int) $processes;
    }

    private static function kind(InputInterface $input): string
    {
        return match (true) {
            $input->getOption('once') => RespawnPolicy::ONE_RUN,
            $input->getOption('stop-when-empty') => RespawnPolicy::UNTIL_EMPTY,
            default => RespawnPolicy::ENDLESS,
        };
    }

    private function workHere(InputInterface $input, OutputInterface $output): int
    {
        $options = $this->workerOptions($input, $output);
        if ($input->getOption('parent') === null) {
            $this->warnWithoutApplication($output);
            return $this->workAlone($this->worker($input, $options), $input);
        }
        return $this->workForMaster($input, ['parent' => (int) $input->getOption('parent')] + $options);
    }

    /** Without a master, a worker whose output nobody reads exits after its job, like other programs. PHP would end in the middle of it. */
    private function workAlone(Worker|TaskWorker $worker, InputInterface $input): int
    {
        ignore_user_abort(true);
        foreach (['looping', ...($worker instanceof TaskWorker ? TaskWorker::ENDS : ['processed'])] as $event) {
            $worker->on($event, fn () => connection_aborted() === 1 && $worker->stop());
        }
        $code = self::begin($worker, $input);
        if ($code === self::SUCCESS && connection_aborted() === 1) {
            throw new Refusal('standard output was closed: the worker stopped after its current job');
        }
        return $code;
    }

    /** @param array<string, mixed> $options */
    private function workForMaster(InputInterface $input, array $options): int
    {
        // Writing to a master that was killed would end the process in the middle of a job.
        ignore_user_abort(true);
        $control = new Control((int) $input->getOption('control'));
        $connection = Queue::connection($options['connection'] ?? null);
        $control->reportStops($connection);
        $worker = $this->worker($input, $options);
        $worker->on('ready', fn () => $control->report('ready'));
        // A worker whose queues are paused asks for no job, and so is never ready.
        $worker->on('paused', fn () => $control->report('ready', 'paused'));
        $code = self::begin($worker, $input);
        // When it exited because all workers were told to stop, the master has to know.
        $code === self::SUCCESS && $control->reportStops($connection);
        $control->report('over');
        return $code;
    }

    private static function begin(Worker|TaskWorker $worker, InputInterface $input): int
    {
        if ($input->getOption('paused')) {
            $worker->pause();
        }
        return $worker->run();
    }
}
