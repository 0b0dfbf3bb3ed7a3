<?php

declare(strict_types=1);

namespace Ferry\Console;

/** Loads a PHP file that an option names, and says what is wrong with it. Nothing here may need symfony/console. */
final class PhpFile
{
    /** The file that is running now; null before and after. */
    private static ?self $running = null;
    private static bool $isWatched = false;

    /** @param string $what how messages name it @param string $option the option that named it */
    public function __construct(private string $path, private string $what, private string $option)
    {
    }

    /** Runs the file and returns what it returns. It sees no variable of ours. */
    public function load(string $name): mixed
    {
        if (!is_file($this->path)) {
            throw new Refusal($name === '' ? "$this->option needs a file name" : "there is no file $name ($this->option)", ExitCode::WRONG);
        }
        $this->mustBePhp();
        self::watch();
        self::$running = $this;
        try {
            return self::required($this->path);
        } catch (\Throwable $e) {
            throw $this->failed($e);
        } finally {
            // exit() and fatal errors do not come by here.
            self::$running = null;
        }
    }

    /** Anything else would be printed, with the passwords in it. */
    private function mustBePhp(): void
    {
        if (str_contains((string) file_get_contents($this->path), '<?')) {
            return;
        }
        $looksLike = preg_match('/\.(toml|ya?ml)$/i', $this->path) ? '; it looks like RoadRunner\'s configuration, which Ferry does not read' : '';
        throw new Refusal("$this->path is not a PHP file ($this->option)$looksLike", ExitCode::WRONG);
    }

    /** The argument has no name: the file could overwrite it, or take it for its own. */
    private static function required(): mixed
    {
        return require func_get_arg(0);
    }

    /** An Error is a mistake in the code; an exception may be a database that is away for a moment. */
    private function failed(\Throwable $e): Refusal
    {
        $text = sprintf('%s failed: %s: %s in %s:%d', $this->what, get_class($e), $e->getMessage(), $e->getFile(), $e->getLine());
        return new Refusal($text, $e instanceof \Error ? ExitCode::WRONG : ExitCode::FAILED, $e);
    }

    /** A file that calls exit() would end the command with 0 and without a message, and a supervisor would start it again and again. */
    private static function watch(): void
    {
        if (self::$isWatched) {
            return;
        }
        self::$isWatched = true;
        register_shutdown_function(static function (): void {
            if (self::$running === null) {
                return;
            }
            $what = self::$running->what;
            // After the shutdown functions of the application, which may have something to say about a fatal error.
            register_shutdown_function(static function () use ($what): void {
                fwrite(STDERR, "ferry: $what ended the process (exit() or a fatal error) before the command started\n");
                exit(ExitCode::FAILED);
            });
        });
    }
}
