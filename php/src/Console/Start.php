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

    /** @param string|null $autoload where Composer's own proxy of bin/ferry says that the autoloader is */
    public function __construct(private Launch $launch, private ?string $autoload)
    {
    }

    public function run(): int
    {
        $words = array_slice($_SERVER['argv'], 1);
        try {
            $answer = $this->bootstrap(self::option($words, '--bootstrap'));
        } catch (\Throwable $e) {
            return $this->refuse(sprintf(
                'the bootstrap file failed: %s: %s in %s:%d',
                get_class($e),
                $e->getMessage(),
                $e->getFile(),
                $e->getLine(),
            ));
        }
        if (($answer === false) || !$this->findConsole()) {
            return $this->refuse($answer === false ? 'there is no file ' . self::option($words, '--bootstrap') . ' (--bootstrap)' : self::NO_CONSOLE);
        }
        if (!function_exists('mb_strwidth') || !class_exists('Normalizer')) {
            return $this->refuse(self::NO_TEXT);
        }
        if (!extension_loaded('ferry')) {
            return $this->refuse(sprintf(self::NO_EXTENSION, $_SERVER['argv'][0]));
        }
        return (new Application($this->launch, is_array($answer) ? $answer : []))->run();
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

    /** Loads the file and answers what it returned; null when none was named, false when it is not there. */
    private function bootstrap(?string $file): mixed
    {
        if ($file === null) {
            return null;
        }
        $path = $this->launch->path($file);
        // A function of its own, so that the file sees no variable of ours. `false` is our own word.
        return is_file($path) ? ((static fn () => require $path)() ?: null) : false;
    }

    private function findConsole(): bool
    {
        $home = dirname(__DIR__, 2);
        $vendors = [dirname($home, 2), "$home/vendor", "{$this->launch->directory}/vendor"];
        $composers = array_filter($vendors, fn ($vendor) => is_file("$vendor/composer/autoload_real.php"));
        foreach ([$this->autoload, ...array_map(fn ($vendor) => "$vendor/autoload.php", $composers), self::DEBIAN] as $place) {
            if (class_exists(self::CONSOLE)) {
                return true;
            }
            if ($place !== null && is_file($place)) {
                require_once $place;
            }
        }
        return class_exists(self::CONSOLE);
    }

    private function refuse(string $why): int
    {
        fwrite(STDERR, "ferry: $why\n");
        return ExitCode::FAILED;
    }
}
