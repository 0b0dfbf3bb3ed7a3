<?php

declare(strict_types=1);

namespace Ferry\Console\Monitor;

use Ferry\Console\Text;
use Symfony\Component\Console\Helper\Table;
use Symfony\Component\Console\Output\BufferedOutput;
use Symfony\Component\Console\Output\OutputInterface;

/** A report of {@see Trend}, for a screen or as plain lines. Pure, but for the names of time zones. */
final class View
{
    private const BAR = 30;

    /** @param array<string, mixed> $report @return list<string> */
    public static function lines(array $report): array
    {
        $time = Text::moment((int) $report['time']);
        $lines = array_map(fn ($queue) => sprintf(
            '%s queue=%s ready=%d delayed=%d reserved=%d failed=%d growth/s=%s oldest>=%s%s',
            $time,
            self::name($queue),
            $queue['ready'],
            $queue['delayed'],
            $queue['reserved'],
            $queue['failed'],
            self::rate($queue['growth_per_second'], signed: true),
            self::age($queue['head_waits_at_least']),
            $queue['paused'] ? ' paused' : '',
        ), $report['queues']);
        $fleet = sprintf(
            '%s workers=%d done/s=%s failed/s=%s',
            $time,
            count($report['workers']),
            self::rate($report['processed_per_second']),
            self::rate($report['failed_per_second']),
        );
        return [...$lines, $fleet];
    }

    /** @param array<string, mixed> $report */
    public static function screen(array $report, string $connection, int $verbosity, bool $decorated): string
    {
        $output = new BufferedOutput($verbosity, $decorated);
        $output->writeln(sprintf(
            '<info>%s</info>  %s  %s  done/s %s  failed/s %s',
            Text::cell($connection),
            Text::moment((int) $report['time']),
            Text::count(count($report['workers']), 'worker'),
            self::rate($report['processed_per_second']),
            self::rate($report['failed_per_second']),
        ));
        self::queues($output, $report['queues']);
        if ($report['workers'] !== []) {
            self::workers($output, $report['workers'], (int) $report['time']);
        }
        return rtrim($output->fetch(), "\n");
    }

    /** @param list<array<string, mixed>> $queues */
    private static function queues(OutputInterface $output, array $queues): void
    {
        $most = max([1, ...array_column($queues, 'size')]);
        $rows = array_map(fn ($queue) => [
            self::name($queue) . ($queue['paused'] ? ' <comment>paused</comment>' : ''),
            self::bar($queue, $most),
            $queue['ready'],
            $queue['delayed'],
            $queue['reserved'],
            $queue['failed'] > 0 ? "<fg=red>$queue[failed]</>" : 0,
            self::rate($queue['growth_per_second'], signed: true),
            self::age($queue['head_waits_at_least']),
        ], $queues);
        (new Table($output))->setStyle('compact')->setRows($rows)
            ->setHeaders(['Queue', '<fg=yellow>█ ready</> <fg=green>▓ reserved</> <fg=blue>░ delayed</>', 'Ready', 'Delayed', 'Reserved', 'Failed', 'Growth/s', 'Oldest ≥'])->render();
    }

    /** @param list<array<string, mixed>> $workers */
    private static function workers(OutputInterface $output, array $workers, int $now): void
    {
        $rows = array_map(fn ($worker) => [
            Text::cell("$worker[host]:$worker[pid]", 40),
            Text::cell(implode(',', $worker['queues']), 30),
            match ($worker['state']) {
                'working' => '<info>working</info>',
                'paused' => '<comment>paused</comment>',
                default => Text::cell($worker['state']),
            },
            Text::cell((string) ($worker['job'] ?? ''), 30),
            $worker['processed'],
            $worker['failed'],
            Text::bytes($worker['memory']),
            Text::span(max(0, $now - $worker['started'])),
            Text::span(max(0, $now - $worker['seen'])) . ' ago',
        ], $workers);
        (new Table($output))->setStyle('compact')->setHeaders(['Worker', 'Queues', 'State', 'Job', 'Done', 'Failed', 'Memory', 'Up', 'Seen'])->setRows($rows)->render();
    }

    /** @param array<string, mixed> $queue */
    public static function bar(array $queue, int $most): string
    {
        $bar = '';
        $cells = 0;
        $sum = 0;
        foreach ([['ready', '█', 'yellow'], ['reserved', '▓', 'green'], ['delayed', '░', 'blue']] as [$state, $cell, $colour]) {
            $sum += $queue[$state];
            // Where the piece ends, so that rounding never adds up; what there is shows.
            $end = max((int) round(self::BAR * $sum / $most), $queue[$state] > 0 ? $cells + 1 : $cells);
            $bar .= $end > $cells ? "<fg=$colour>" . str_repeat($cell, $end - $cells) . '</>' : '';
            $cells = $end;
        }
        return $bar;
    }

    /** @param array<string, mixed> $queue */
    private static function name(array $queue): string
    {
        return $queue['queue'] === null ? '(own)' : Text::cell($queue['queue'], 40);
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
