<?php

declare(strict_types=1);

namespace Ferry\Console;

/**
 * Brings the console up: loads the application and symfony/console, then hands over. Nothing here may need symfony/console.
 */
final class Start
{
    private const CONSOLE = 'Symfony\\Component\\Console\\Application';
    private const DEBIAN = '/usr/share/php/Symfony/Component/Console/autoload.php';

    private const NO_EXTENSION = 'the extension ferry is not loaded (add `extension=ferry` to php.ini, or start as `php -d extension=/path/to/libferry.so %s`)';
    private const NO_CONSOLE = 'symfony/console is missing (in the application: `composer require symfony/console`; on Debian: '
        . '`apt install php-symfony-console`; or name a file that loads it with --bootstrap=FILE)';
    private const NO_TEXT = 'symfony/console needs mbstring and intl, or the polyfills that Composer installs (on Debian: `apt install php-mbstring php-intl`)';

    /** Whether something was loaded that may know the application's handlers. */
    private bool $isApplicationLoaded = false;

    /** @param string|null $autoload where Composer's own proxy of bin/ferry says that the autoloader is */
    public function __construct(private Launch $launch, private ?string $autoload)
    {
        $this->isApplicationLoaded = (string) ini_get('auto_prepend_file') !== '';
    }

    public function run(): int
    {
        // The application may use the extension while it is loaded.
        if (!extension_loaded('ferry')) {
            return $this->refuse(sprintf(self::NO_EXTENSION, $_SERVER['argv'][0]));
        }
        try {
            $options = $this->bootstrap(self::option(array_slice($_SERVER['argv'], 1), '--bootstrap'));
        } catch (Refusal $refusal) {
            return $this->refuse($refusal->getMessage(), $refusal->exitCode);
        }
        return $this->open(fn () => $options);
    }

    /**
     * The console inside that of a framework, which has loaded the application.
     *
     * @param \Closure(): array<string, mixed> $options of workers, asked for when there is something to run them
     */
    public function runInside(\Closure $options): int
    {
        $this->isApplicationLoaded = true;
        return extension_loaded('ferry') ? $this->open($options) : $this->refuse(sprintf(self::NO_EXTENSION, $_SERVER['argv'][0]));
    }

    /** @param \Closure(): array<string, mixed> $options */
    private function open(\Closure $options): int
    {
        if (!$this->findConsole()) {
            return $this->refuse(self::NO_CONSOLE);
        }
        if (!function_exists('mb_strwidth') || !class_exists('Normalizer')) {
            return $this->refuse(self::NO_TEXT);
        }
        return (new Application($this->launch, $options(), $this->isApplicationLoaded))->run();
    }

    /**
     * The value of an option, before there is anything that could parse it.
     *
     * @param list<string> $words
     */
    public static function option(array $words, string $name): ?string
    {
        foreach ($words as $at => $word) {
            if ($word === '--') {
                return null;
            }
            if (strncmp($word, "$name=", strlen($name) + 1) === 0) {
                return substr($word, strlen($name) + 1);
            }
            if ($word === $name) {
                return $words[$at + 1] ?? '';
            }
        }
        return null;
    }

    /** Loads the file and returns the worker options that it returned. @return array<string, mixed> */
    private function bootstrap(?string $file): array
    {
        if ($file === null) {
            return [];
        }
        $answer = (new PhpFile($this->launch->path($file), 'the bootstrap file', '--bootstrap'))->load($file);
        $this->isApplicationLoaded = true;
        // A file without `return` returns 1. An autoloader returns its loader, a framework its application.
        if (!is_array($answer) && !is_object($answer) && !in_array($answer, [1, null, true], true)) {
            $type = get_debug_type($answer);
            throw new Refusal("the bootstrap file returned a value of type $type: it may return an array of worker options, or nothing", ExitCode::WRONG);
        }
        return is_array($answer) ? $answer : [];
    }

    private function findConsole(): bool
    {
        $home = dirname(__DIR__, 2);
        $vendors = [dirname($home, 2), "$home/vendor", "{$this->launch->directory}/vendor"];
        $composers = array_filter($vendors, fn ($vendor) => is_file("$vendor/composer/autoload_real.php"));
        foreach ([$this->autoload, ...array_map(fn ($vendor) => "$vendor/autoload.php", $composers)] as $place) {
            if (class_exists(self::CONSOLE)) {
                return true;
            }
            if ($place !== null && is_file($place)) {
                require_once $place;
                $this->isApplicationLoaded = true;
            }
        }
        if (!class_exists(self::CONSOLE) && is_file(self::DEBIAN)) {
            require_once self::DEBIAN;
        }
        return class_exists(self::CONSOLE);
    }

    private function refuse(string $why, int $code = ExitCode::FAILED): int
    {
        fwrite(STDERR, 'ferry: ' . Text::clean($why) . "\n");
        return $code;
    }
}
