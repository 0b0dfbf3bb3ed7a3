<?php
// The console as somebody at a shell has it: a process with words, answers on standard input, output, errors and an exit code.

require_once __DIR__ . '/../support/brokers.php';

final class Ferry
{
    /** @param array<string, string> $env */
    public function __construct(private array $env = [], private array $flags = [])
    {
    }

    /** On a broker, by way of FERRY_URL. */
    public static function on(array $config, array $env = []): self
    {
        return new self(['FERRY_URL' => self::url($config)] + $env);
    }

    public static function url(array $config): string
    {
        $query = http_build_query(array_diff_key($config, array_flip(['type', 'path', 'host', 'port'])));
        $place = match ($config['type']) {
            'sqlite' => "sqlite:$config[path]",
            'redis' => "redis://$config[host]:$config[port]",
            'memory' => 'memory:',
            'amqp' => "amqp://guest:guest@$config[host]:$config[port]",
        };
        return $place . ($query === '' ? '' : "?$query");
    }

    /** Flags of php for every further call. @param list<string> $flags */
    public function withFlags(array $flags): self
    {
        return new self($this->env, $flags);
    }

    /** Runs to the end. */
    public function run(array $words, string $answers = ''): Said
    {
        return $this->run_command($this->command($words), $answers);
    }

    public function run_command(array $command, string $answers = ''): Said
    {
        $files = self::files();
        file_put_contents("$files.in", $answers);
        $streams = [['file', "$files.in", 'r'], ['file', "$files.out", 'w'], ['file', "$files.err", 'w']];
        $process = proc_open($command, $streams, $pipes, temp_dir(), $this->env + getenv());
        // PHP's own wait; the test's time limit is the runner's.
        $code = proc_close($process);
        return new Said($code, (string) file_get_contents("$files.out"), (string) file_get_contents("$files.err"));
    }

    /** Starts it and goes on. */
    public function start(array $words): Child
    {
        return Child::start($this->command($words), self::files(), $this->env);
    }

    /** @return list<string> */
    public function command(array $words): array
    {
        return [getenv('FERRY_PHP'), ...explode(' ', getenv('FERRY_PHP_FLAGS')), ...self::needed(), '-d', 'display_errors=stderr', ...$this->flags, project('php/bin/ferry'), ...$words];
    }

    /** What symfony/console needs, where it is built as a module; `$alone` without the flags of the tests. @return list<string> */
    public static function needed(bool $alone = false): array
    {
        $modules = array_filter(['mbstring', 'ctype', 'intl'], fn ($name) => ($alone || !extension_loaded($name)) && is_file(ini_get('extension_dir') . "/$name.so"));
        return array_merge([], ...array_map(fn ($name) => ['-d', "extension=$name"], array_values($modules)));
    }

    private static function files(): string
    {
        static $number = 0;
        return temp_dir() . '/console-' . getmypid() . '-' . ++$number;
    }
}

/** What a process said. */
final class Said
{
    public function __construct(public readonly int $code, public readonly string $out, public readonly string $err)
    {
    }

    public function json(): mixed
    {
        return json_decode($this->out, true, 512, JSON_THROW_ON_ERROR);
    }

    /** Ended well, without a complaint. */
    public function well(string $what): self
    {
        same("$what: exit code", 0, $this->code);
        same("$what: errors", '', $this->err);
        return $this;
    }

    /** Was refused with this code, and a piece of the reason. */
    public function refused(string $what, int $code, string $why): self
    {
        same("$what: exit code", $code, $this->code);
        holds("$what: reason", $why, $this->err);
        return $this;
    }
}

/** A bootstrap file with handlers; answers its path. */
function bootstrap(string $code): string
{
    $file = temp_dir() . '/bootstrap-' . bin2hex(random_bytes(4)) . '.php';
    file_put_contents($file, '<?php require_once ' . var_export(__DIR__ . '/../support/boot.php', true) . ";\n$code\n");
    return $file;
}

/** SQLite and Redis: what several processes can share. */
function shared_brokers(array $more = []): iterable
{
    foreach (brokers($more) as $name => $config) {
        if ($name !== 'memory') {
            yield $name => $config;
        }
    }
}

/** Loads the console's own classes into the test, for those that are pure. */
function load_console(): void
{
    require_once project('php/autoload.php');
}

/** The living child processes of a process. @return list<int> */
function children_of(int $pid): array
{
    $children = [];
    foreach (glob('/proc/[0-9]*/stat') as $file) {
        // pid (name) state parent: the name may hold anything, a parenthesis too.
        $stat = (string) @file_get_contents($file);
        [$state, $parent] = explode(' ', substr($stat, strrpos($stat, ')') + 2)) + [1 => '0'];
        if ((int) $parent === $pid && $state !== 'Z') {
            $children[] = (int) $stat;
        }
    }
    sort($children);
    return $children;
}

/** Waits until a master has so many children, none of them among those that are to be gone. @return list<int> */
function wait_for_children(Child $master, int $count, array $gone = [], float $seconds = 15): array
{
    $children = [];
    wait_until(function () use ($master, $count, $gone, &$children) {
        if (!$master->isRunning()) {
            throw new RuntimeException("the master ended:\n{$master->out()}{$master->err()}");
        }
        $children = children_of($master->pid);
        return count($children) === $count && array_intersect($children, $gone) === [];
    }, "the master has $count children", $seconds);
    return $children;
}

/** Handlers that write down what they do, in a file that the test reads. */
final class Book
{
    public readonly string $file;

    public function __construct()
    {
        $this->file = temp_dir() . '/book-' . bin2hex(random_bytes(4));
        touch($this->file);
    }

    /** The path of a bootstrap file with the handlers `Note` (a line of its data and its process) and `Held` (runs until a file appears). */
    public function bootstrap(string $more = ''): string
    {
        return bootstrap('define("BOOK", ' . var_export($this->file, true) . ');' . <<<'PHP'

            function note(string $line): void { file_put_contents(BOOK, "$line\n", FILE_APPEND | LOCK_EX); }
            class Note { public function fire($job, $data) { note("$data by " . getmypid()); $job->delete(); } }
            class Held {
                public function fire($job, $file) {
                    note("held by " . getmypid());
                    wait_until(fn () => file_exists($file) || clearstatcache(), "the file appears", 60);
                    $job->delete();
                    note("let go by " . getmypid());
                }
            }

            PHP . $more);
    }

    /** @return list<string> */
    public function lines(): array
    {
        return file($this->file, FILE_IGNORE_NEW_LINES);
    }

    public function waitFor(string $line, float $seconds = 15): void
    {
        wait_until(fn () => str_contains("\n" . file_get_contents($this->file), "\n$line"), "the book says `$line`; so far:\n" . file_get_contents($this->file), $seconds);
    }
}
