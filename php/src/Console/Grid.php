<?php

declare(strict_types=1);

namespace Ferry\Console;

use Symfony\Component\Console\Formatter\OutputFormatter;
use Symfony\Component\Console\Helper\Table;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * A table that fits the terminal. Cells are plain text: they are escaped here. Where the columns do not fit, the longest cells are cut
 * first; then columns are left out, or each row takes two lines when a column leads.
 */
final class Grid
{
    private const INDENT = '    ';

    /** @param list<Column> $columns @param int|null $width of the terminal; null: no limit */
    public function __construct(private array $columns, private ?int $width)
    {
    }

    /** @param list<list<string|int|array{string|int, string|\Closure}>> $rows a cell is its text, or its text and its style (see {@see Column}) */
    public function render(OutputInterface $output, array $rows): void
    {
        $rows = array_map(fn ($row) => array_map([self::class, 'cell'], $row), $rows);
        $stacks = array_filter($this->columns, fn ($column) => $column->leads) !== [];
        $widths = $this->widths($rows, !$stacks);
        if ($stacks && $this->width !== null && self::total($widths) > $this->width) {
            array_map(fn ($row) => $output->writeln($this->stacked($row)), $rows);
            return;
        }
        $head = array_map(fn ($at) => $this->title($this->columns[$at]), array_keys($widths));
        $body = array_map(fn ($row) => $this->fitted($row, $widths), $rows);
        (new Table($output))->setStyle('compact')->setHeaders($head)->setRows($body)->render();
    }

    /** @param string|int|array{string|int, string|\Closure} $cell @return array{string, string|\Closure} clean text, style */
    private static function cell(string|int|array $cell): array
    {
        [$text, $style] = is_array($cell) ? $cell : [$cell, ''];
        return [Text::clean((string) $text), $style];
    }

    /**
     * The width of each column that is shown, by its place.
     *
     * @param list<list<array{string, string|\Closure}>> $rows
     * @return array<int, int>
     */
    private function widths(array $rows, bool $mayLeaveOut): array
    {
        $widths = $least = [];
        foreach ($this->columns as $at => $column) {
            $longest = max([0, ...array_map(fn ($row) => mb_strwidth($row[$at][0], 'UTF-8'), $rows)]);
            $widths[$at] = max(mb_strwidth($column->title, 'UTF-8'), min($longest, $column->most));
            $least[$at] = min($widths[$at], max(mb_strwidth($column->title, 'UTF-8'), $column->least ?? $widths[$at]));
        }
        if ($this->width === null) {
            return $widths;
        }
        while ($mayLeaveOut && self::total($least) > $this->width && ($at = $this->leastImportant($least)) !== null) {
            unset($widths[$at], $least[$at]);
        }
        return self::shrunk($widths, $least, $this->width);
    }

    /** @param array<int, int> $shown */
    private function leastImportant(array $shown): ?int
    {
        $ranks = array_filter(array_map(fn ($at) => $this->columns[$at]->rank, array_combine(array_keys($shown), array_keys($shown))));
        return $ranks === [] ? null : array_search(min($ranks), $ranks, true);
    }

    /** The widest gives way first. @param array<int, int> $widths @param array<int, int> $least @return array<int, int> */
    private static function shrunk(array $widths, array $least, int $width): array
    {
        while (self::total($widths) > $width) {
            $room = array_filter($widths, fn ($one, $at) => $one > $least[$at], ARRAY_FILTER_USE_BOTH);
            if ($room === []) {
                break;
            }
            $widths[array_search(max($room), $room, true)]--;
        }
        return $widths;
    }

    /** With the space after each column. @param array<int, int> $widths */
    private static function total(array $widths): int
    {
        return array_sum($widths) + count($widths);
    }

    /** @param list<array{string, string|\Closure}> $row @param array<int, int> $widths @return list<string> */
    private function fitted(array $row, array $widths): array
    {
        return array_map(fn ($at) => self::styled(Text::cut($row[$at][0], $widths[$at], $this->columns[$at]->keepEnd), $row[$at][1] ?: $this->columns[$at]->style), array_keys($widths));
    }

    private static function styled(string $text, string|\Closure $style): string
    {
        $escaped = OutputFormatter::escape($text);
        return match (true) {
            $style instanceof \Closure => $style($escaped),
            $style === '' || $text === '' => $escaped,
            default => "<$style>$escaped</>",
        };
    }

    private function title(Column $column): string
    {
        return self::styled($column->title, $column->style instanceof \Closure ? $column->style : '');
    }

    /** @param list<array{string, string|\Closure}> $row @return list<string> */
    private function stacked(array $row): array
    {
        $lines = ['', ''];
        foreach ($this->columns as $at => $column) {
            $line = $column->leads ? 0 : 1;
            // A bare number says nothing without its title.
            $text = ctype_digit($row[$at][0]) && !$column->leads ? strtolower($column->title) . ' ' . $row[$at][0] : $row[$at][0];
            $lines[$line] .= $text === '' ? '' : ($lines[$line] === '' ? '' : '  ') . $text;
        }
        return [
            '<info>' . OutputFormatter::escape(Text::cut($lines[0], (int) $this->width)) . '</info>',
            self::INDENT . OutputFormatter::escape(Text::cut($lines[1], max(1, (int) $this->width - strlen(self::INDENT)))),
        ];
    }
}
