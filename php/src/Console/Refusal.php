<?php

declare(strict_types=1);

namespace Ferry\Console;

/** A command did not do what was asked, and says why and what to do. */
final class Refusal extends \RuntimeException
{
}
