<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

/** Makes whole lines of pieces, so that what several processes print does not run into each other. */
final class LineBuffer
{
    /** A line that is longer is passed on in pieces: somebody prints without ever ending a line. */
    private const LONGEST = 1 << 20;

    private string $begun = '';

    /** The whole lines that are there now. */
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

    /** What never got its end, with one. */
    public function rest(): string
    {
        $rest = $this->begun;
        $this->begun = '';
        return $rest === '' ? '' : "$rest\n";
    }
}
