<?php

declare(strict_types=1);

namespace Ferry\Console\Monitor;

use Ferry\Console\Column;
use Ferry\Console\Grid;
use Ferry\Console\QueueCounts;
use Ferry\Console\Text;
use Symfony\Component\Console\Output\BufferedOutput;
use Symfony\Component\Console\Output\OutputInterface;

/** A report of {@see Trend}, for a screen or as plain lines. Pure, but for the names of time zones. */
final class View
{
    private const BAR = 30;

    private const LEGEND = '█ ready ▓ reserved ░ delayed';

    /** With less room than this a bar shows nothing. */
    private const LEAST_BAR = 8;

    /** What the columns beside the bar take: six numbers and the name of a queue. */
    private const BESIDE_BAR = 68;

    private const NO_WORKERS = 'Workers: unknown. Set `control` to a connection of Redis or a database to see them.';

    /** @param array<string, mixed> $report @return list<string> */
    public static function lines(array $report): array
    {
        $time = Text::moment((int) $report['time']);
        $lines = array_map(fn ($queue) => sprintf(
            '%s queue=%s ready=%d delayed=%s reserved=%s failed=%d growth/s=%s oldest>=%s%s',
            $time,
            Text::clean($queue['queue']),
            $queue['ready'],
            QueueCounts::shown($queue['delayed']),
            QueueCounts::shown($queue['reserved']),
            $queue['failed'],
            self::rate($queue['growth_per_second'], signed: true),
            self::age($queue['head_waits_at_least']),
            $queue['paused'] ? ' paused' : '',
        ), $report['queues']);
        $fleet = sprintf(
            '%s workers=%s done/s=%s failed/s=%s',
            $time,
            $report['workers'] === null ? '-' : count($report['workers']),
            self::rate($report['processed_per_second']),
            self::rate($report['failed_per_second']),
        );
        return [...$lines, $fleet];
    }

    /** @param array<string, mixed> $report @param int $width of the terminal */
    public static function screen(array $report, string $connection, int $verbosity, bool $decorated, int $width): string
    {
        $output = new BufferedOutput($verbosity, $decorated);
        $name = Text::cut(Text::clean($connection), 20);
        $time = Text::moment((int) $report['time']);
        $workers = sprintf(
            '%s  done/s %s  failed/s %s',
            $report['workers'] === null ? 'workers -' : Text::count(count($report['workers']), 'worker'),
            self::rate($report['processed_per_second']),
            self::rate($report['failed_per_second']),
        );
        $fits = mb_strwidth("$name  $time  $workers", 'UTF-8') <= $width;
        $output->writeln('<info>' . Text::cell($name) . "</info>  $time" . ($fits ? '  ' : "\n") . $workers);
        self::queues($output, $report['queues'], $width);
        if ($report['workers'] === null) {
            $output->writeln(Text::cell(self::NO_WORKERS, $width));
        } elseif ($report['workers'] !== []) {
            self::workers($output, $report['workers'], (int) $report['time'], $width);
        }
        return rtrim($output->fetch(), "\n");
    }

    /** @param list<array<string, mixed>> $queues */
    private static function queues(OutputInterface $output, array $queues, int $width): void
    {
        $most = max([1, ...array_column($queues, 'size')]);
        $cells = min(self::BAR, $width - self::BESIDE_BAR);
        $hasLegend = $cells < mb_strwidth(self::LEGEND, 'UTF-8');
        $rows = array_map(fn ($queue) => [
            [$queue['queue'] . ($queue['paused'] ? ' (paused)' : ''), $queue['paused'] ? 'comment' : ''],
            [self::bar($queue, $most, max(0, $cells)), self::coloured(...)],
            $queue['ready'],
            QueueCounts::shown($queue['delayed']),
            QueueCounts::shown($queue['reserved']),
            [$queue['failed'], $queue['failed'] > 0 ? 'fg=red' : ''],
            self::rate($queue['growth_per_second'], signed: true),
            self::age($queue['head_waits_at_least']),
        ], $queues);
        $columns = [
            new Column('Queue', least: 12, most: 40),
            new Column($hasLegend ? '' : self::LEGEND, rank: 1, style: self::coloured(...)),
            new Column('Ready'),
            new Column('Delayed', rank: 5),
            new Column('Reserved', rank: 4),
            new Column('Failed'),
            new Column('Growth/s', rank: 3),
            new Column('Oldest ≥', rank: 2),
        ];
        if ($cells < self::LEAST_BAR) {
            unset($columns[1]);
            $rows = array_map(fn ($row) => array_values(array_diff_key($row, [1 => null])), $rows);
        }
        (new Grid(array_values($columns), $width))->render($output, $rows);
        if ($hasLegend && isset($columns[1])) {
            $output->writeln(self::coloured(self::LEGEND));
        }
        if (in_array(null, array_column($queues, 'delayed'), true)) {
            $output->writeln(QueueCounts::NOTE);
        }
    }

    /** @param list<array<string, mixed>> $workers */
    private static function workers(OutputInterface $output, array $workers, int $now, int $width): void
    {
        $rows = array_map(fn ($worker) => [
            "$worker[host]:$worker[pid]",
            implode(',', $worker['queues']),
            [$worker['state'], ['working' => 'info', 'paused' => 'comment'][$worker['state']] ?? ''],
            (string) ($worker['job'] ?? ''),
            $worker['processed'],
            [$worker['failed'], $worker['failed'] > 0 ? 'fg=red' : ''],
            Text::bytes($worker['memory']),
            Text::span(max(0, $now - $worker['started'])),
            Text::span(max(0, $now - $worker['seen'])) . ' ago',
        ], $workers);
        (new Grid([
            new Column('Worker', least: 10, most: 40, keepEnd: true),
            new Column('Queues', least: 8, most: 30, rank: 3),
            new Column('State'),
            new Column('Job', least: 10, most: 30, rank: 4, keepEnd: true),
            new Column('Done'),
            new Column('Failed'),
            new Column('Memory', rank: 1),
            new Column('Up', rank: 2),
            new Column('Seen', rank: 5),
        ], $width))->render($output, $rows);
    }

    /** Ready █, reserved ▓ and delayed ░ jobs, in proportion to the largest queue. @param array<string, mixed> $queue */
    public static function bar(array $queue, int $most, int $width = self::BAR): string
    {
        $bar = '';
        $cells = 0;
        $sum = 0;
        foreach (['ready' => '█', 'reserved' => '▓', 'delayed' => '░'] as $state => $cell) {
            $sum += $queue[$state] ?? 0;
            // Where the piece ends, so that rounding never adds up; what there is shows.
            $end = max((int) round($width * $sum / $most), ($queue[$state] ?? 0) > 0 ? $cells + 1 : $cells);
            $bar .= str_repeat($cell, $end - $cells);
            $cells = $end;
        }
        return $bar;
    }

    /** The same with colours, for output with tags. */
    private static function coloured(string $bar): string
    {
        return (string) preg_replace(['/█+( ready)?/u', '/▓+( reserved)?/u', '/░+( delayed)?/u'], ['<fg=yellow>$0</>', '<fg=green>$0</>', '<fg=blue>$0</>'], $bar);
    }

    private static function rate(?float $rate, bool $signed = false): string
    {
        return $rate === null ? '-' : sprintf($signed ? '%+.1f' : '%.1f', $rate);
    }

    private static function age(?float $seconds): string
    {
        return $seconds === null ? '-' : Text::span($seconds);
    }
}
