<?php

declare(strict_types=1);

namespace Ferry\Console;

use Symfony\Component\Console\Application as Base;
use Symfony\Component\Console\Command\Command as AnyCommand;
use Symfony\Component\Console\CommandLoader\FactoryCommandLoader;
use Symfony\Component\Console\Exception\CommandNotFoundException;
use Symfony\Component\Console\Exception\ExceptionInterface as ConsoleException;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Formatter\OutputFormatter;
use Symfony\Component\Console\Input\ArgvInput;
use Symfony\Component\Console\Input\InputDefinition;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\ConsoleOutput;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** The table of commands, the options that all of them have, and what an exception becomes. */
final class Application extends Base
{
    /** Commands of think-queue and Laravel, and what they are called here. */
    private const ELSEWHERE = [
        'queue:work' => 'work', 'queue:listen' => 'listen', 'queue:restart' => 'restart', 'queue:failed' => 'failed', 'queue:retry' => 'retry',
        'queue:forget' => 'forget', 'queue:flush' => 'flush', 'queue:table' => 'schema', 'queue:failed-table' => 'schema',
        'queue:prune-failed' => 'prune', 'queue:clear' => 'clear', 'queue:monitor' => 'monitor', 'queue:pause' => 'pause', 'queue:resume' => 'resume',
    ];

    /** The words of the command line, when it is that of this process. @var list<string> */
    private array $words = [];

    /**
     * @param array<string, mixed> $worker options of a worker that a command line cannot say: what the bootstrap file returned
     * @param bool $isApplicationLoaded whether anything was loaded that may know handlers
     */
    public function __construct(Launch $launch, array $worker = [], bool $isApplicationLoaded = true)
    {
        parent::__construct('ferry', (string) phpversion('ferry'));
        $this->setAutoExit(false);
        $this->setCatchExceptions(false);
        $connections = new Connections($launch);
        $this->setCommandLoader(new FactoryCommandLoader([
            'work' => fn () => new Command\Work($launch, $connections, $worker, $isApplicationLoaded),
            'listen' => fn () => new Command\Listen($launch, $connections, $worker, $isApplicationLoaded),
            'failed' => fn () => new Command\Failed($connections),
            'retry' => fn () => new Command\Retry($connections),
            'forget' => fn () => new Command\Forget($connections),
            'flush' => fn () => new Command\Flush($connections),
            'prune' => fn () => new Command\Prune($connections),
            'pause' => fn () => new Command\Pause($connections),
            'resume' => fn () => new Command\Resume($connections),
            'restart' => fn () => new Command\Restart($connections),
            'stop' => fn () => new Command\Stop($connections),
            'size' => fn () => new Command\Size($connections),
            'peek' => fn () => new Command\Peek($connections),
            'clear' => fn () => new Command\Clear($connections),
            'spool' => fn () => new Command\Spool($launch, $connections),
            'monitor' => fn () => new Command\Monitor($connections),
            'schema' => fn () => new Command\Schema($connections),
            'status' => fn () => new Command\Status($connections),
            'dead' => fn () => new Command\DeadTasks($connections),
            'doctor' => fn () => new Command\Doctor($connections, $worker),
            'bench' => fn () => new Command\Bench($launch, $connections),
        ]));
    }

    protected function getDefaultInputDefinition(): InputDefinition
    {
        $definition = parent::getDefaultInputDefinition();
        $definition->addOptions([
            new InputOption('bootstrap', null, InputOption::VALUE_REQUIRED, 'PHP file to load first: the application, its autoloader, its handlers'),
            new InputOption('config', null, InputOption::VALUE_REQUIRED, "PHP file that returns think-queue's config/queue.php array"),
            new InputOption('connection', 'c', InputOption::VALUE_REQUIRED, 'Connection to use [default: that of the configuration]'),
        ]);
        return $definition;
    }

    public function run(?InputInterface $input = null, ?OutputInterface $output = null): int
    {
        if ($input === null) {
            $input = new ArgvInput();
            $this->words = array_slice($_SERVER['argv'] ?? [], 1);
        }
        $output ??= new ConsoleOutput();
        try {
            return parent::run($input, $output);
        } catch (\Throwable $e) {
            $this->tell($e, $output instanceof ConsoleOutputInterface ? $output->getErrorOutput() : $output);
            return self::code($e);
        }
    }

    public function find(string $name): AnyCommand
    {
        $here = self::ELSEWHERE[strtolower($name)] ?? null;
        if ($here !== null) {
            throw new CommandNotFoundException("there is no command `$name`; here it is `ferry $here`, see `ferry $here --help`");
        }
        return parent::find($name);
    }

    protected function doRunCommand(AnyCommand $command, InputInterface $input, OutputInterface $output): int
    {
        $this->refuseUnknownOptions($command);
        return parent::doRunCommand($command, $input, $output);
    }

    /** symfony/console refuses them too, but suggests nothing. */
    private function refuseUnknownOptions(AnyCommand $command): void
    {
        $known = array_keys($command->getDefinition()->getOptions() + $this->getDefinition()->getOptions());
        foreach ($this->words as $word) {
            if ($word === '--') {
                return;
            }
            $name = strncmp($word, '--', 2) === 0 ? explode('=', substr($word, 2), 2)[0] : '';
            if ($name !== '' && !in_array($name, $known, true) && !$this->getDefinition()->hasNegation($name)) {
                throw new InvalidOptionException("The \"--$name\" option does not exist" . Suggestion::hint($name, $known, '--%s'));
            }
        }
    }

    /** The exit code tells a mistake of the caller from a failure. */
    private static function code(\Throwable $e): int
    {
        if ($e instanceof Refusal) {
            return $e->exitCode;
        }
        $wrong = $e instanceof ConsoleException || $e instanceof \Ferry\InvalidArgumentException || self::lacksMethod($e);
        return $wrong ? ExitCode::WRONG : ExitCode::FAILED;
    }

    /** One line for people; with -v also where it came from. */
    private function tell(\Throwable $e, OutputInterface $errors): void
    {
        $known = $e instanceof ConsoleException || $e instanceof \Ferry\Exception || $e instanceof Refusal;
        $text = match (true) {
            self::lacksMethod($e) => sprintf(
                '%s: the extension ferry %s is older than this console; update it',
                lcfirst($e->getMessage()),
                phpversion('ferry'),
            ),
            $known => trim($e->getMessage()),
            default => sprintf('%s: %s in %s:%d', get_class($e), $e->getMessage(), $e->getFile(), $e->getLine()),
        };
        // symfony/console suggests in several lines. What somebody typed, or a server said, must not forge one.
        $hasOwnLines = $e instanceof ConsoleException && preg_grep('/\n/', $this->words) === [];
        $clean = Text::clean($text, keep: $hasOwnLines ? "\n" : '');
        $errors->writeln('<error>ferry:</error> ' . OutputFormatter::escape($clean), OutputInterface::VERBOSITY_QUIET);
        if ($errors->isVerbose()) {
            $errors->writeln(array_map(fn ($place) => Text::cell($place), self::places($e)));
        }
    }

    /** The calls that led there, without their arguments: one of them may be a DSN with a password. @return list<string> */
    private static function places(\Throwable $e): array
    {
        return array_map(
            fn ($call) => sprintf('  %s:%s %s%s%s()', $call['file'] ?? '?', $call['line'] ?? '?', $call['class'] ?? '', $call['type'] ?? '', $call['function']),
            $e->getTrace(),
        );
    }

    private static function lacksMethod(\Throwable $e): bool
    {
        return $e instanceof \Error && strncmp($e->getMessage(), 'Call to undefined method Ferry\\', 31) === 0;
    }
}
