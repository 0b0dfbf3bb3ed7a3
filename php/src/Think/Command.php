<?php

declare(strict_types=1);

namespace Ferry\Think;

use Ferry\Console\Launch;
use Ferry\Console\Start;
use think\console\Input;
use think\console\Output;

/**
 * The console of Ferry inside ThinkPHP's: `php think ferry:monitor`, or `php think ferry monitor`. The application is loaded, its configuration
 * is known, and workers run its handlers.
 */
class Command extends \think\console\Command
{
    private const NAMES = [
        'bench' => 'Measure a broker',
        'work' => 'Run jobs, in this process or in several', 'listen' => 'Run each job in a fresh process',
        'failed' => 'List failed jobs', 'retry' => 'Make failed jobs ready again', 'forget' => 'Remove failed jobs',
        'flush' => 'Remove all failed jobs', 'prune' => 'Remove old failed jobs', 'pause' => 'Pause a queue for all workers',
        'resume' => 'Resume a paused queue', 'restart' => 'Ask all workers to restart', 'stop' => 'Ask all workers to stop',
        'size' => 'Count jobs', 'peek' => 'Show waiting jobs', 'clear' => 'Remove waiting jobs', 'monitor' => 'Show queues and workers live',
        'schema' => 'Print the statements that create the tables', 'status' => 'Show the status of a job', 'dead' => 'Show tasks that failed',
        'doctor' => 'Check connections and server settings',
        'spool' => 'Store jobs that no broker took',
    ];

    /** The words of the command line after this command. */
    private const PREFIX = 'ferry:';

    public function __construct(private string $command = '', private string $text = 'The console of Ferry: php think ferry COMMAND')
    {
        parent::__construct();
    }

    /** One command for each, and `ferry` for all. @return list<self> */
    public static function all(): array
    {
        return [new self(), ...array_map(fn ($name, $text) => new self($name, $text), array_keys(self::NAMES), self::NAMES)];
    }

    protected function configure()
    {
        $this->setName($this->command === '' ? 'ferry' : self::PREFIX . $this->command);
        $this->setDescription($this->text);
        // symfony/console reads the words.
        $this->ignoreValidationErrors();
    }

    protected function execute(Input $input, Output $output)
    {
        $words = array_slice($_SERVER['argv'], 1);
        $at = array_search($this->getName(), $words, true);
        $words = array_slice($words, $at === false ? 0 : $at + 1);
        $_SERVER['argv'] = [$_SERVER['argv'][0], ...($this->command === '' ? [] : [$this->command]), ...$words];
        $framework = Framework::current();
        if (Extension::isLoaded()) {
            $framework->configure();
        }
        return (new Start(Launch::now(self::PREFIX), null))->runInside(fn () => $framework->workerOptions() + ['on' => self::listeners($framework)]);
    }

    /** @return array<string, callable> */
    private static function listeners(Framework $framework): array
    {
        // The worker is made later, by the console.
        $stop = fn () => posix_kill((int) getmypid(), SIGTERM);
        if ($framework instanceof Framework\ThinkPhp51) {
            return (new OldHooks($framework, $stop))->listeners();
        }
        if (!Framework::hasThinkQueue()) {
            return ['exception' => fn (object $job, \Throwable $e) => $framework->report($e)];
        }
        $app = Framework\ThinkPhp8::app();
        $failed = $app->has('queue.failer') ? $app->make('queue.failer') : null;
        return (new WorkerEvents($framework, $app->make('event'), $failed instanceof FailedJobs ? $failed : null, $stop))->listeners();
    }
}
