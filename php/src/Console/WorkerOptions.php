<?php

declare(strict_types=1);

namespace Ferry\Console;

use Symfony\Component\Console\Exception\InvalidOptionException;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;

/**
 * The options of `Ferry\Worker` as a command line says them: one table, from which the command's definition, the array for the worker and
 * the command line of a child are made. Values are checked by the worker itself.
 */
final class WorkerOptions
{
    private const VALUE = 'value';
    private const FLAG = 'flag';
    private const LIST = 'list';
    private const MAP = 'map';
    private const BACKOFF = 'backoff';

    /** name in kebab-case => kind, what --help says. The worker's name is the same with underscores. */
    private const TABLE = [
        'queue' => [self::VALUE, "Queues, highest priority first, with commas between them [default: the connection's]"],
        'tries' => [self::VALUE, 'Attempts for jobs that do not say; 0 is unlimited [default: 0]'],
        'delay' => [self::VALUE, 'Seconds until a failed job is tried again [default: 0]'],
        'backoff' => [self::BACKOFF, 'The same by attempt: 5, or 1,5,30, or base:2,cap:600,jitter:0.5'],
        'timeout' => [self::VALUE, 'Seconds that a job may run, when it does not say; 0 is for ever [default: 60]'],
        'warn-before' => [self::VALUE, 'Seconds before the timeout at which the handler gets a TimeoutException; 0 is never [default: 0]'],
        'grace' => [self::VALUE, 'Seconds after the timeout in which a stopped job must be gone, else its process ends with 14 [default: 10]'],
        'stop-timeout' => [self::VALUE, 'Seconds that a running job may go on after TERM [default: its own timeout]'],
        'sleep' => [self::VALUE, 'Seconds that --once waits for a job; a waiting worker is woken, so nothing else sleeps [default: 3]'],
        'memory' => [self::VALUE, 'Leave with 12 at so many MiB; 0 is no limit [default: 0]'],
        'once' => [self::FLAG, 'One job at most'],
        'max-jobs' => [self::VALUE, 'Leave after so many jobs; 0 is no limit [default: 0]'],
        'max-time' => [self::VALUE, 'Leave after so many seconds, between jobs; 0 is no limit [default: 0]'],
        'stop-when-empty' => [self::FLAG, 'Leave as soon as no job is ready'],
        'max-lease' => [self::VALUE, 'Seconds for which the lease of one running job is renewed [default: 86400]'],
        'max-outage' => [self::VALUE, 'Seconds for which the broker may be away before the worker leaves with 15; 0 is for ever [default: 300]'],
        'health-file' => [self::VALUE, "File written after each answer of the broker, for probes; {slot} in it is the number of the process"],
        'prefetch' => [self::VALUE, 'Most jobs held at once; 1 for slow jobs [default: 64]'],
        'settle' => [self::VALUE, "pipelined or immediate [default: the connection's, pipelined]"],
        'on-return' => [self::VALUE, 'What it means when a handler returns without a word: leave or delete [default: leave]'],
        'log' => [self::VALUE, 'plain, json or none [default: plain]'],
        'log-level' => [self::VALUE, 'debug, info, notice, warning or error; notice hides the lines of each job [default: info]'],
        'status' => [self::VALUE, 'Seconds between status lines; 0 for neither banner nor status [default: 60]'],
        'job' => [self::VALUE, 'Class of the object that handlers get [default: Ferry\Job]'],
        'namespace' => [self::VALUE, 'Where short job names live: NAMESPACE\job\Name'],
        'handlers' => [self::MAP, 'NAME=CLASS or CLASS: names with classes of their own; may be repeated'],
        'strict' => [self::FLAG, 'Only what --handlers names may run'],
        'allowed-classes' => [self::LIST, 'Classes that object jobs may unserialize; may be repeated [default: any]'],
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
                throw new InvalidOptionException('--backoff wants 5, or 1,5,30, or base:2,cap:600,jitter:0.5');
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
