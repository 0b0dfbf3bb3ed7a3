<?php

declare(strict_types=1);

namespace Ferry\Console;

/**
 * How this process was started, so that another one can be started the same way: interpreter, ini file, -d flags, script, folder,
 * environment. Made before the application runs. Starts nothing itself.
 */
final class Launch
{
    /** Flags of php that take a value in the next word. */
    private const WITH_VALUE = ['-d', '-c', '-z', '--define', '--php-ini', '--zend-extension'];

    /** Flags of php without a value that another process needs too. */
    private const PLAIN = ['-n', '-e', '-q', '-C', '--no-php-ini', '--profile-info', '--no-header', '--no-chdir'];

    /**
     * @param list<string> $php the interpreter and its flags
     * @param string $script the console, by an absolute path in which symbolic links are kept: `current/` may point elsewhere tomorrow
     * @param array<string, string> $environment
     * @param string $prefix what stands before our commands in the console of a framework: `ferry:`
     */
    public function __construct(
        public readonly array $php,
        public readonly string $script,
        public readonly string $directory,
        public readonly array $environment,
        private string $prefix = '',
    ) {
    }

    public static function now(string $prefix = ''): self
    {
        $words = explode("\0", rtrim((string) @file_get_contents('/proc/self/cmdline'), "\0"));
        $flags = count($words) > 1 ? self::flags(array_slice($words, 1)) : self::flagsWithoutProc(php_ini_loaded_file());
        $directory = self::directory((string) getcwd(), (string) getenv('PWD'));
        $script = (string) ($_SERVER['SCRIPT_FILENAME'] ?? '');
        return new self([PHP_BINARY ?: 'php', ...$flags], self::absolute($script, $directory), $directory, getenv(), $prefix);
    }

    /**
     * The flags before the script.
     *
     * @param list<string> $words the command line after the interpreter
     * @return list<string>
     */
    public static function flags(array $words): array
    {
        $flags = [];
        for ($at = 0; $at < count($words); $at++) {
            $word = $words[$at];
            if (in_array($word, self::WITH_VALUE, true)) {
                array_push($flags, $word, $words[++$at] ?? '');
            } elseif (in_array($word, self::PLAIN, true) || preg_match('/^-[dcz]./s', $word)) {
                $flags[] = $word;
            } else {
                break;
            }
        }
        return $flags;
    }

    /** @return list<string> what is known where there is no /proc */
    private static function flagsWithoutProc(string|false $ini): array
    {
        return $ini === false ? [] : ['-c', $ini];
    }

    /** The shell's name of the working directory, which keeps symbolic links, when it is the same place. */
    private static function directory(string $real, string $named): string
    {
        return $named !== '' && $named[0] === '/' && realpath($named) === $real ? $named : $real;
    }

    /** A path as it was given on the command line. */
    public function path(string $path): string
    {
        return self::absolute($path, $this->directory);
    }

    private static function absolute(string $path, string $directory): string
    {
        return $path !== '' && $path[0] === '/' ? $path : "$directory/$path";
    }

    /**
     * The command line of another console process.
     *
     * @param non-empty-list<string> $arguments the command first
     * @return list<string>
     */
    public function command(array $arguments): array
    {
        return [...$this->php, $this->script, $this->prefix . array_shift($arguments), ...$arguments];
    }
}
