<?php
// Another PHP, with the extension, as a real child process.

require_once __DIR__ . '/boot.php';

final class Child
{
    /** Its process id. */
    public readonly int $pid;
    private ?int $code = null;

    /** @param resource $process */
    private function __construct(private $process, private string $files)
    {
        $this->pid = proc_get_status($process)['pid'];
        at_the_end(fn () => $this->isRunning() && $this->signal(SIGKILL));
    }

    /**
     * Starts PHP code, which begins with the test's own helpers. `$flags` are for php, for example `-d memory_limit=20M`.
     *
     * @param list<string> $flags
     * @param array<string, string> $env
     */
    public static function php(string $code, array $flags = [], array $env = []): self
    {
        static $number = 0;
        $files = temp_dir() . '/child-' . getmypid() . '-' . ++$number;
        file_put_contents("$files.php", '<?php require ' . var_export(__FILE__, true) . ";\n$code\n");
        $own = ['-d', 'display_errors=stderr', '-d', 'log_errors=0', '-d', 'error_reporting=-1'];
        $command = [getenv('FERRY_PHP'), ...explode(' ', getenv('FERRY_PHP_FLAGS')), ...$own, ...$flags, "$files.php"];
        return self::start($command, $files, $env);
    }

    /** @param list<string> $command */
    public static function start(array $command, string $files, array $env = []): self
    {
        $streams = [['file', '/dev/null', 'r'], ['file', "$files.out", 'w'], ['file', "$files.err", 'w']];
        // A child never outlives its test, even when the test is killed.
        $command = ['setpriv', '--pdeathsig', 'KILL', ...$command];
        $process = proc_open($command, $streams, $pipes, null, $env + getenv());
        return new self($process, $files);
    }

    public function isRunning(): bool
    {
        if ($this->code !== null) {
            return false;
        }
        $status = proc_get_status($this->process);
        if (!$status['running']) {
            // PHP tells the code once.
            $this->code = $status['signaled'] ? 128 + $status['termsig'] : $status['exitcode'];
        }
        return $status['running'];
    }

    /** Waits for its end and answers the exit code, 128 + n after a signal. */
    public function wait(float $seconds = 30): int
    {
        wait_until(fn () => !$this->isRunning(), "the child ends; so far it said:\n{$this->out()}{$this->err()}", $seconds);
        return $this->code;
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }

    /** Waits until it has printed something. */
    public function says(string $text, float $seconds = 15): void
    {
        wait_until(function () use ($text) {
            if (str_contains($this->out(), $text)) {
                return true;
            }
            if (!$this->isRunning() && !str_contains($this->out(), $text)) {
                throw new RuntimeException("the child ended with {$this->code} and never said `$text`:\n{$this->out()}{$this->err()}");
            }
            return false;
        }, "the child says `$text`; so far it said:\n{$this->out()}{$this->err()}", $seconds);
    }

    public function out(): string
    {
        return (string) file_get_contents("{$this->files}.out");
    }

    public function err(): string
    {
        return (string) file_get_contents("{$this->files}.err");
    }
}
