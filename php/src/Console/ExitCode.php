<?php

declare(strict_types=1);

namespace Ferry\Console;

/** What the exit codes mean. `work` adds those of the worker: 12, 13, 14, 15. */
final class ExitCode
{
    public const DONE = 0;
    /** The broker was not reached or refused, there is no such job, a question was answered with no. `doctor`: something to look at. */
    public const FAILED = 1;
    /** The command line or the configuration is wrong; nothing was done. `doctor`: something is bad. */
    public const WRONG = 2;
    /** The memory limit of a worker was reached. */
    public const MEMORY = 12;
    /** A handler or listener ended its worker. */
    public const ENDED_BY_HANDLER = 13;
    /** A job did not leave when its time was over. */
    public const HUNG = 14;
}
