<?php

declare(strict_types=1);

namespace Ferry\Console\Process;

use Ferry\Console\Text;

/** What a master says itself, in the shape of its workers' lines: news to standard output, trouble to standard error. */
final class Log
{
    private const LEVELS = ['debug' => 0, 'info' => 1, 'notice' => 2, 'warning' => 3, 'error' => 4];

    /** @param string $format `plain`, `json` or `none` (which still tells trouble, as a worker does) */
    public function __construct(private string $format, private string $least)
    {
    }

    public function news(string $text): void
    {
        $this->say('notice', $text);
    }

    public function trouble(string $text): void
    {
        $this->say('warning', $text);
    }

    /** Lines of a child, to where it meant them. */
    public function pass(int $descriptor, string $lines): void
    {
        $stream = $descriptor === 2 ? STDERR : STDOUT;
        // Nobody may be reading any more; that does not stop the work.
        Quietly::run(fn () => fwrite($stream, $lines));
    }

    private function say(string $level, string $text): void
    {
        $isTrouble = self::LEVELS[$level] >= self::LEVELS['warning'];
        $isWanted = self::LEVELS[$level] >= (self::LEVELS[$this->least] ?? 1) && $this->format !== 'none';
        if ($isWanted || $isTrouble) {
            $this->pass($isTrouble ? 2 : 1, $this->line($level, $text));
        }
    }

    private function line(string $level, string $text): string
    {
        return $this->format === 'json'
            ? Text::json(['time' => date('c'), 'level' => $level, 'event' => 'master', 'message' => Text::clean($text), 'pid' => getmypid()]) . "\n"
            : sprintf("[%s] ferry: %s\n", date('Y-m-d H:i:s'), Text::clean($text));
    }
}
