<?php

declare(strict_types=1);

namespace Ferry\Console;

/** What the exit codes mean. Those from 12 on are the worker's own; there is also 15, when the broker was unreachable for too long. */
final class ExitCode
{
    public const DONE = 0;
    /** The broker was not reached or refused, there is no such job, the answer was no, the console could not start. `doctor`: warnings. */
    public const FAILED = 1;
    /** The command line, the configuration or the code of the bootstrap file is wrong; nothing was done. `doctor`: something is bad. */
    public const WRONG = 2;
    /** The memory limit of a worker was reached. */
    public const MEMORY = 12;
    /** A handler or listener ended its worker. */
    public const ENDED_BY_HANDLER = 13;
    /** A job did not end after its timeout. */
    public const HUNG = 14;
}
