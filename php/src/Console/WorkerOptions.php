<?php

declare(strict_types=1);

namespace Ferry\Console;

use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;

/**
 * The options of `Ferry\Worker` on a command line: one table, from which the command's definition, the array for the worker and the
 * command line of a child are made. The worker checks the values; numbers are checked here too, for a message with an example.
 *
 * An option that was not typed is not passed: the worker's own default, or that of the bootstrap file, holds.
 */
final class WorkerOptions
{
    private const VALUE = 'value';
    private const NUMBER = 'number';
    private const FLAG = 'flag';
    private const LIST = 'list';
    private const MAP = 'map';
    private const BACKOFF = 'backoff';

    /** name in kebab-case => kind, text of --help, for numbers an example. The worker's name is the same with underscores. */
    private const TABLE = [
        'queue' => [self::VALUE, 'Queues, highest priority first, separated by commas [default: that of the connection]'],
        'tries' => [self::NUMBER, 'Attempts for jobs that do not set their own; 0: unlimited [default: 0]', '3'],
        'delay' => [self::NUMBER, 'Seconds until a job that threw is tried again; 0: at once [default: 1, 2, 4 ... 60]', '5'],
        'backoff' => [self::BACKOFF, 'The same by attempt: 5, or 1,5,30, or base:2,cap:600,jitter:0.5'],
        'timeout' => [self::NUMBER, 'Seconds that a job may run, for jobs that do not set their own; 0: no limit [default: 60]', '300'],
        'warn-before' => [self::NUMBER, 'Seconds before the timeout at which the handler gets a TimeoutException; 0: never [default: 0]', '5'],
        'grace' => [self::NUMBER, 'Seconds within which a job must end after its timeout, or its process ends with 14 [default: 10]', '10'],
        'stop-timeout' => [self::NUMBER, 'Seconds that a running job may continue after TERM [default: its own timeout]', '30'],
        'sleep' => [self::NUMBER, 'Seconds that --once waits for a job; a waiting worker is woken, so nothing else sleeps [default: 3]', '3'],
        'memory' => [self::NUMBER, 'Exit with 12 when the process uses this many MiB; 0: no limit [default: 0]', '128'],
        'once' => [self::FLAG, 'Run one job at most'],
        'max-jobs' => [self::NUMBER, 'Exit after this many jobs; 0: no limit [default: 0]', '1000'],
        'max-time' => [self::NUMBER, 'Exit after this many seconds, between jobs; 0: no limit [default: 0]', '3600'],
        'stop-when-empty' => [self::FLAG, 'Exit when no job is ready'],
        'max-lease' => [self::NUMBER, 'Seconds for which the lease of a running job is renewed [default: 86400]', '86400'],
        'max-outage' => [self::NUMBER, 'Exit with 15 when the broker is unreachable for this many seconds; 0: never [default: 300]', '300'],
        'health-file' => [self::VALUE, 'File whose modification time is renewed with each answer of the broker; {slot} is the number of the process'],
        'prefetch' => [self::NUMBER, 'Jobs held at once; 1 for slow jobs [default: 64]', '1'],
        'settle' => [self::VALUE, 'pipelined or immediate [default: that of the connection, pipelined]'],
        'on-return' => [self::VALUE, 'What happens to a job whose handler returns without delete() or release(): leave or delete [default: leave]'],
        'log' => [self::VALUE, 'plain, json or none [default: plain]'],
        'log-level' => [self::VALUE, 'debug, info, notice, warning or error; notice hides the lines of each job [default: info]'],
        'status' => [self::NUMBER, 'Seconds between status lines, which also follow each 100 jobs; 0: no banner and no status lines [default: 60]', '60'],
        'job' => [self::VALUE, 'Class of the object that handlers get [default: Ferry\Job]'],
        'namespace' => [self::VALUE, 'Namespace of short job names: NAMESPACE\job\Name'],
        'handlers' => [self::MAP, 'NAME=CLASS or CLASS; may be repeated'],
        'strict' => [self::FLAG, 'Run only what --handlers names'],
        'allowed-classes' => [self::LIST, 'Class that object jobs may unserialize; may be repeated [default: any]'],
    ];

    /** What a listener decides itself: one fresh process for each job. */
    public const OF_ONE_RUN = ['once', 'max-jobs', 'max-time', 'stop-when-empty'];

    /** @param list<string> $without @return list<InputOption> */
    public static function definition(array $without = []): array
    {
        $options = [];
        foreach (array_diff_key(self::TABLE, array_flip($without)) as $name => [$kind, $help]) {
            $options[] = new InputOption($name, null, match ($kind) {
                self::FLAG => InputOption::VALUE_NONE,
                self::LIST, self::MAP => InputOption::VALUE_REQUIRED | InputOption::VALUE_IS_ARRAY,
                default => InputOption::VALUE_REQUIRED,
            }, $help);
        }
        return $options;
    }

    /**
     * What was given, as the worker takes it.
     *
     * @return array<string, mixed>
     */
    public static function forWorker(InputInterface $input): array
    {
        $options = [];
        foreach (self::given($input) as $name => $value) {
            $options[strtr($name, '-', '_')] = match (self::TABLE[$name][0]) {
                self::BACKOFF => self::backoff($value),
                self::MAP => self::map($value),
                self::NUMBER => self::number($name, $value),
                default => $name === 'health-file' ? self::healthFile($value, 1) : $value,
            };
        }
        return $options;
    }

    /**
     * What was given, as words for another console process.
     *
     * @return list<string>
     */
    public static function words(InputInterface $input, int $slot = 1): array
    {
        $words = [];
        foreach (self::given($input) as $name => $value) {
            $values = $name === 'health-file' ? [self::healthFile($value, $slot)] : (array) $value;
            array_push($words, ...array_map(fn ($one) => $one === true ? "--$name" : "--$name=$one", $values));
        }
        return $words;
    }

    /** A file for each process: they would tell each other's health otherwise. */
    private static function healthFile(string $path, int $slot): string
    {
        return str_replace('{slot}', (string) $slot, $path);
    }

    /** @return array<string, string|true|list<string>> */
    private static function given(InputInterface $input): array
    {
        $given = [];
        foreach (array_keys(self::TABLE) as $name) {
            $value = $input->hasOption($name) ? $input->getOption($name) : null;
            if ($value !== null && $value !== false && $value !== []) {
                $given[$name] = $value;
            }
        }
        return $given;
    }

    /** Its bounds are checked by the worker. */
    private static function number(string $name, string $value): string
    {
        if (!is_numeric($value)) {
            throw new InvalidOptionException(sprintf('--%s needs a number without a unit, for example --%1$s=%s, not `%s`', $name, self::TABLE[$name][2], $value));
        }
        return $value;
    }

    /** @return string|array<string, string> */
    private static function backoff(string $text): string|array
    {
        if (!str_contains($text, ':')) {
            return $text;
        }
        $steps = [];
        foreach (explode(',', $text) as $part) {
            [$name, $value] = explode(':', $part, 2) + [1 => ''];
            if (!in_array($name, ['base', 'cap', 'jitter'], true) || !is_numeric($value)) {
                throw new InvalidOptionException('--backoff needs 5, or 1,5,30, or base:2,cap:600,jitter:0.5');
            }
            $steps[$name] = $value + 0;
        }
        return $steps;
    }

    /** @param list<string> $pairs @return array<int|string, string> */
    private static function map(array $pairs): array
    {
        $map = [];
        foreach ($pairs as $pair) {
            [$name, $class] = explode('=', $pair, 2) + [1 => null];
            $class === null ? $map[] = $name : $map[$name] = $class;
        }
        return $map;
    }
}
