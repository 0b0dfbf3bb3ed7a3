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

    public function settings(InputInterface $input): Settings
    {
        return new Settings($this->config($input), (string) getenv('FERRY_URL') ?: (string) ini_get('ferry.url'));
    }

    /** @return array<string, mixed>|string|null what --config says */
    private function config(InputInterface $input): array|string|null
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
            throw new InvalidOptionException("$file does not return an array (--config wants a file like think-queue's config/queue.php)");
        }
        return $config;
    }

    /**
     * The queues of --queue; null is the connection's own.
     *
     * @return list<string|null>
     */
    public static function queues(InputInterface $input): array
    {
        $given = $input->getOption('queue');
        return $given === null || $given === '' ? [null] : explode(',', $given);
    }
}
