<?php

namespace Ferry;

/**
 * Reserves jobs and runs their handlers, in a `php worker.php` daemon:
 *
 *     exit((new Ferry\Worker(['queue' => 'high,mail', 'tries' => 3]))->run());
 *
 * On SIGTERM, SIGINT, SIGQUIT and SIGHUP the worker finishes the current job and exits with 0; a second one interrupts the job.
 * SIGUSR2 pauses it, SIGCONT resumes it. A signal that PHP code handles (`pcntl_signal()`) is left to that code.
 */
class Worker
{
    /** Asked to stop, or a limit of jobs or time was reached. */
    public const EXIT_STOPPED = 0;

    /** Could not start. */
    public const EXIT_NOT_STARTED = 1;

    /** The memory limit was reached. */
    public const EXIT_MEMORY = 12;

    /** A handler ended the process. */
    public const EXIT_HANDLER = 13;

    /** A job did not end when its time was over. */
    public const EXIT_TIMEOUT = 14;

    /** The broker was unreachable for too long. */
    public const EXIT_UNREACHABLE = 15;

    /** A thread of the worker panicked. */
    public const EXIT_PANIC = 16;

    /** The broker answered for the first time. */
    public const EVENT_READY = 'ready';

    /** Before a job is reserved. */
    public const EVENT_LOOPING = 'looping';

    /** A job starts. */
    public const EVENT_PROCESSING = 'processing';

    /** Its handler returned. */
    public const EVENT_PROCESSED = 'processed';

    /** Its handler threw. */
    public const EVENT_EXCEPTION = 'exception';

    /** It moved to the failed store. */
    public const EVENT_FAILED = 'failed';

    /** It was released. */
    public const EVENT_RELEASED = 'released';

    /** Its lease expired. */
    public const EVENT_LOST = 'lost';

    /** A deletion came too late. */
    public const EVENT_SETTLE_LOST = 'settle_lost';

    /** It exceeded its timeout. */
    public const EVENT_TIMEOUT = 'timeout';

    /** The worker paused. */
    public const EVENT_PAUSED = 'paused';

    /** It resumed. */
    public const EVENT_RESUMED = 'resumed';

    /** It is about to exit. */
    public const EVENT_STOPPING = 'stopping';

    /**
     * Checks the options. Opens nothing. Every option may be missing; null means: not given.
     *
     * | option | means | default |
     * |---|---|---|
     * | `connection` | a name, or a {@see Connection} | the default one |
     * | `queue` | names between commas, or a list; highest priority first, not trimmed (`worker/worker-queue-list-with-space`) | the connection's |
     * | `tries` | attempts for jobs that do not set their own; 0 is unlimited | 0 |
     * | `delay` | seconds until a failed job is retried: the same as a `backoff` of one number | 1, 2, 4, ... 60 |
     * | `backoff` | seconds until a failed job is retried: a number, a list with a step for each attempt, or
     *   `['base' => 2, 'cap' => 600, 'jitter' => 0.5]`; a handler's own `$backoff` or `backoff()` takes precedence | `delay` |
     * | `timeout` | seconds that a job may run, unless its payload or its handler's `$timeout` sets it; 0 is no limit | 60 |
     * | `warn_before` | seconds before the timeout at which {@see TimeoutException} is thrown into the handler; 0 is never | 0 |
     * | `grace` | seconds after the timeout within which the job must end, else the process ends with 14 | 10 |
     * | `stop_timeout` | seconds that the running job may continue after the worker was asked to stop; then it is interrupted and
     *   given back without using an attempt | none: its own timeout |
     * | `sleep` | seconds that `once` waits for a job | 3 |
     * | `memory` | MiB of PHP's memory or of the process's private memory at which it exits with 12; 0 is no limit | 0 |
     * | `once` | one job at most | false |
     * | `max_jobs` | exit after this many jobs; 0 is no limit | 0 |
     * | `max_time` | exit after this many seconds; 0 is no limit | 0 |
     * | `stop_when_empty` | exit as soon as no job is ready | false |
     * | `max_lease` | seconds for which the lease of one running job is renewed | 86400 |
     * | `max_outage` | seconds that the broker may be unreachable before it exits with 15; 0 is for ever | 300 |
     * | `health_file` | a file written after each answer of the broker, at most once a second | none |
     * | `prefetch` | jobs held at once, 1 to 10000; 1 for slow jobs | the connection's, 64 |
     * | `settle` | `pipelined` or `immediate` | the connection's, `pipelined` |
     * | `on_return` | what happens when a handler returns without settling: `leave` or `delete` | `leave` |
     * | `log` | `plain` (lines on standard output), `json` (one object per line), `none`, or a PSR-3 logger | `plain` |
     * | `log_level` | minimum log level: `debug`, `info`, `notice`, `warning`, `error`; `notice` hides the lines that every job writes | `info` |
     * | `status` | seconds between summaries, which are also printed after 100 jobs; with it the worker prints its settings when it
     *   starts; 0 is never | 0 |
     * | `parent` | a process id: exit when this process is no longer the parent | none |
     * | `handler` | `callable(string $class, mixed $data): ?object`, in place of `new`; null: no such class | that of {@see Queue::configure()} |
     * | `container` | a PSR-11 container that makes handlers, and what `handle()` of object jobs takes | as `handler` |
     * | `job` | class or factory of the object that handlers and listeners receive: `callable(Job $job): object` | as `handler` |
     * | `namespace` | namespace for short names: `<namespace>\job\<Studly>` (`worker/worker-studly-short-name`) | as `handler` |
     * | `handlers` | name => class, or a list of classes | |
     * | `strict` | only `handlers` may run | false |
     * | `allowed_classes` | classes that object jobs may unserialize | any |
     *
     * @param array{
     *     connection?: string|Connection|null, queue?: string|list<string>|null, tries?: int|numeric-string|null,
     *     delay?: int|float|numeric-string|\DateTimeInterface|\DateInterval|null, sleep?: int|float|numeric-string|null,
     *     memory?: int|numeric-string|null, once?: bool|int|string|null, max_jobs?: int|numeric-string|null,
     *     max_time?: int|float|numeric-string|null, stop_when_empty?: bool|int|string|null,
     *     backoff?: int|numeric-string|list<int>|array{base: int, cap?: int, jitter?: float}|null,
     *     timeout?: int|float|numeric-string|null, warn_before?: int|float|numeric-string|null, grace?: int|float|numeric-string|null,
     *     max_outage?: int|float|numeric-string|null, health_file?: string|null,
     *     max_lease?: int|float|numeric-string|null, prefetch?: int|numeric-string|null,
     *     settle?: 'pipelined'|'immediate'|null, on_return?: 'leave'|'delete'|null, log?: 'plain'|'json'|'none'|object|null,
     *     log_level?: 'debug'|'info'|'notice'|'warning'|'error'|null, status?: int|float|numeric-string|null,
     *     parent?: int|numeric-string|null, stop_timeout?: int|float|numeric-string|null,
     *     handler?: (callable(string, mixed): (object|null))|null, container?: object|null, job?: class-string|(callable(Job): object)|null,
     *     namespace?: string|null, handlers?: array<class-string>|null, strict?: bool|int|string|null,
     *     allowed_classes?: list<class-string>|null
     * }|null $options
     * @throws InvalidArgumentException an unknown option (the nearest known one is named) or a wrong value
     * @throws ConfigException there is no such connection
     */
    public function __construct(mixed $options = null)
    {
    }

    /**
     * Runs until it is asked to stop or reaches a limit.
     *
     * When a handler calls `exit()` or ends with a fatal error, its job is settled first, as if it had thrown; then the process ends
     * with the exit code 13. In a child that a handler forked, this returns 0 at once and settles nothing.
     *
     * @return self::EXIT_STOPPED|self::EXIT_NOT_STARTED|self::EXIT_MEMORY|self::EXIT_UNREACHABLE|self::EXIT_PANIC the exit code: 0 asked to stop (signal, `stop()`, once, max_jobs, max_time, empty), 1 could not start,
     *     12 memory limit (as think-queue), 15 the broker was unreachable for too long. 13 (a handler ended the process) and 14
     *     (a job did not end when its time was over) are not returned: the process ends with them
     * @throws InvalidArgumentException it is running already
     * @throws \Throwable what a listener or a signal handler threw; it ends the run
     */
    public function run(): int
    {
    }

    /**
     * Runs one job if one is ready. Does not wait.
     *
     * @return bool whether there was one
     * @throws InvalidArgumentException it is running already
     * @throws BrokerException or a subclass
     * @throws \Throwable what a listener threw
     */
    public function process(): bool
    {
    }

    /**
     * Asks {@see run()} to stop after the current job. For handlers, listeners and signal handlers.
     *
     * @param mixed ...$ignored so that `$worker->stop(...)` can be passed to pcntl_signal(), which passes two
     */
    public function stop(mixed ...$ignored): void
    {
    }

    /**
     * Asks the worker to finish the current job, give back the jobs it has not started, and wait.
     *
     * @param mixed ...$ignored as for {@see stop()}
     */
    public function pause(mixed ...$ignored): void
    {
    }

    /**
     * Resumes it after {@see pause()}.
     *
     * @param mixed ...$ignored as for {@see stop()}
     */
    public function resume(mixed ...$ignored): void
    {
    }

    /** Whether it was asked to pause, by {@see pause()} or SIGUSR2. Queues that are paused for all workers do not count. */
    public function isPaused(): bool
    {
    }

    /** Whether {@see run()} or {@see process()} is running. */
    public function isRunning(): bool
    {
    }

    /**
     * Adds a listener. Listeners are called in the order in which they were added; an exception ends the run. `Job` is the object that
     * the option `job` made, where there is one.
     *
     * | event | arguments |
     * |---|---|
     * | `ready`, `looping`, `paused`, `resumed` | |
     * | `processing`, `processed`, `lost` | Job |
     * | `exception`, `failed` | Job, Throwable |
     * | `released` | Job, int seconds |
     * | `settle_lost` | string id, string queue |
     * | `timeout` | Job, float seconds |
     * | `stopping` | int exit code |
     *
     * @param self::EVENT_* $event
     * @param callable $listener
     * @throws InvalidArgumentException an unknown event (the nearest known one is named), or no callable
     */
    public function on(string $event, mixed $listener): void
    {
    }
}
