<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** Puts pieces together to whole lines, so that the output of several processes is not mixed within a line. */
final class LineBuffer
{
    /** A longer line is passed on in pieces: a process may write without ever ending a line. */
    private const LONGEST = 1 << 20;

    private string $begun = '';

    /** The lines that are complete now. */
    public function add(string $bytes): string
    {
        $this->begun .= $bytes;
        $end = strrpos($this->begun, "\n");
        if ($end === false && strlen($this->begun) <= self::LONGEST) {
            return '';
        }
        $end = $end === false ? strlen($this->begun) - 1 : $end;
        $lines = substr($this->begun, 0, $end + 1);
        $this->begun = substr($this->begun, $end + 1);
        return $lines;
    }

    /** The last, unfinished line, with an end. */
    public function rest(): string
    {
        $rest = $this->begun;
        $this->begun = '';
        return $rest === '' ? '' : "$rest\n";
    }
}
