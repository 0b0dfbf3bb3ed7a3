<?php

declare(strict_types=1);

namespace Ferry\Console;

use Ferry\Connection;
use Ferry\Queue;
use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;

/**
 * Which connection and which queues a command is about. The configuration is that of --config, else what the bootstrap file gave to
 * `Ferry\Queue::configure()`, else `FERRY_URL` and the ini setting `ferry.url`.
 */
final class Connections
{
    public function __construct(private Launch $launch)
    {
    }

    public function configure(InputInterface $input): void
    {
        $config = $this->config($input);
        if ($config !== null) {
            Queue::configure($config);
        }
    }

    public function of(InputInterface $input): Connection
    {
        $this->configure($input);
        return Queue::connection($input->getOption('connection'));
    }

    /** @return array<string, mixed>|string|null what --config says */
    public function config(InputInterface $input): array|string|null
    {
        $file = $input->getOption('config');
        if ($file === null) {
            return null;
        }
        try {
            $config = (new PhpFile($this->launch->path($file), 'the file of --config', '--config'))->load($file);
        } catch (Refusal $refusal) {
            $hint = $refusal->getPrevious() !== null && $input->getOption('bootstrap') === null
                ? ' (if it needs the application, for env() for example, name the file that loads the application with --bootstrap=FILE)'
                : '';
            throw new Refusal($refusal->getMessage() . $hint, ExitCode::WRONG);
        }
        if (!is_array($config) && !is_string($config)) {
            throw new InvalidOptionException("$file does not return an array (--config needs a file like think-queue's config/queue.php)");
        }
        return $config;
    }

    /**
     * The queues of --queue, else the connection's default queue by its name.
     *
     * @return list<string>
     */
    public static function queues(InputInterface $input, Connection $connection): array
    {
        $given = $input->getOption('queue');
        return $given === null ? [self::defaultQueue($connection)] : self::names($given);
    }

    /** The name of the queue that a connection uses when none is named. */
    public static function defaultQueue(Connection $connection): string
    {
        return (string) $connection->facts()['queue'];
    }

    /** A list as --queue has it. @return list<string> */
    public static function names(string $list): array
    {
        return array_map(fn ($name) => self::checked($name, "--queue=$list"), explode(',', $list));
    }

    /**
     * think-queue takes ` mail` in `high, mail` for another queue than `mail`, and no name for the default queue. Both are mistakes here: the
     * wrong queue would be cleared.
     */
    public static function checked(string $name, string $given): string
    {
        if ($name === '') {
            throw new InvalidOptionException("$given has an empty queue name");
        }
        if (trim($name) !== $name) {
            throw new InvalidOptionException("$given has a queue name with a space at its beginning or end: `$name` (write `" . trim($name) . '`)');
        }
        return $name;
    }
}
