<?php

namespace Shop\Stage;

use RuntimeException;

/** The workers, and what a supervisor does for them: one that was killed is replaced. */
final class Workers
{
    public const TASK_WORKERS = 3;
    private const IMPORT_WORKERS = 2;
    private const IMPORT_QUEUES = ['import.1', 'import.2', 'import.3', 'import.4'];

    /** @var array<int, array{Process, list<string>}> the process and its script, by process id */
    private array $running = [];
    private int $started = 0;
    public int $killed = 0;

    /** @param list<string> $php how PHP is called */
    public function __construct(private string $folder, private string $app, private array $php, private array $environment)
    {
    }

    public function start(): void
    {
        for ($worker = 0; $worker < self::TASK_WORKERS; $worker++) {
            $this->launch(['worker.php']);
        }
        for ($worker = 0; $worker < self::IMPORT_WORKERS; $worker++) {
            // Each begins at another queue.
            $from = $worker * intdiv(count(self::IMPORT_QUEUES), self::IMPORT_WORKERS);
            $this->launch(['import-worker.php', ...array_slice(self::IMPORT_QUEUES, $from), ...array_slice(self::IMPORT_QUEUES, 0, $from)]);
        }
    }

    /** Kills one as a power cut would, and starts another in its place. */
    public function killAndReplace(int $pid): void
    {
        [$process, $script] = $this->running[$pid] ?? throw new RuntimeException("$pid is none of our workers");
        unset($this->running[$pid]);
        $code = $process->kill();
        if ($code !== 128 + SIGKILL) {
            throw new RuntimeException("{$process->name} ended by itself with $code: {$process->log()}");
        }
        $this->killed++;
        $this->launch($script);
    }

    /** The import worker that is in the middle of a job, when there is one: it has said that it began, and not that it ended. */
    public function amidImport(): ?int
    {
        foreach ($this->running as $pid => [$process, $script]) {
            $log = $script[0] === 'import-worker.php' ? $process->log() : '';
            if (substr_count($log, '] Processing: ') > substr_count($log, '] Processed: ')) {
                return $pid;
            }
        }
        return null;
    }

    /** None of them may end before it is asked to. */
    public function mustRun(): void
    {
        foreach ($this->running as [$process]) {
            $process->isRunning() || throw new RuntimeException("{$process->name} ended with {$process->wait()}: {$process->log()}");
        }
    }

    /** Asks all to stop; each must leave with 0. Answers how many there were. */
    public function stop(): int
    {
        $processes = array_column($this->running, 0);
        $this->running = [];
        array_walk($processes, fn (Process $process) => $process->signal(SIGTERM));
        // Asked once: a second signal means that it should hurry, and one that comes after its last job ends it the rough way.
        $codes = array_map(fn (Process $process) => $process->wait(), $processes);
        foreach (array_filter($codes) as $index => $code) {
            throw new RuntimeException("{$processes[$index]->name} left with $code: " . substr($processes[$index]->log(), -2000));
        }
        return count($codes);
    }

    /** @param list<string> $script */
    private function launch(array $script): void
    {
        $name = basename($script[0], '.php') . '-' . ++$this->started;
        // As in a real shop, who answers customers goes before who works for them later.
        $command = ['nice', '-n', '5', ...$this->php, "{$this->app}/$script[0]", ...array_slice($script, 1)];
        $process = Process::start($this->folder, $name, $command, $this->environment);
        $this->running[$process->pid] = [$process, $script];
    }
}
