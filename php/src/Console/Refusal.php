<?php

declare(strict_types=1);

namespace Ferry\Console;

/** A command did not do what was asked, and says why and what to do. */
final class Refusal extends \RuntimeException
{
    /** @param int $exitCode one of {@see ExitCode} */
    public function __construct(string $message, public readonly int $exitCode = ExitCode::FAILED, ?\Throwable $cause = null)
    {
        parent::__construct($message, 0, $cause);
    }
}
