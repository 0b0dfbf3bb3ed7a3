<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

/** The medians of `ferry bench` as an SVG picture: a group of bars for each measurement, a bar for each network delay. */
final class Chart
{
    private const WIDTH = 720;
    private const LEFT = 200;
    private const BAR = 18;
    private const COLOURS = ['#2563eb', '#60a5fa', '#93c5fd', '#bfdbfe', '#dbeafe'];

    /**
     * @param string $title what was measured, and where
     * @param array<string, array<string, float>> $groups measurement with its unit => label of a bar => value
     */
    public static function svg(string $title, array $groups): string
    {
        $parts = [];
        $top = 48;
        foreach ($groups as $name => $bars) {
            $parts[] = self::text(16, $top + 14, $name, 'font-weight="600"');
            $top += 24;
            $most = max($bars) ?: 1;
            foreach (array_keys($bars) as $at => $label) {
                $parts[] = self::bar($top, (string) $label, $bars[$label], $bars[$label] / $most, self::COLOURS[$at % count(self::COLOURS)]);
                $top += self::BAR + 6;
            }
            $top += 16;
        }
        $head = sprintf('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">', self::WIDTH, $top);
        $ground = sprintf('<rect width="%d" height="%d" fill="#ffffff"/>', self::WIDTH, $top);
        return implode("\n", [$head, $ground, self::text(16, 28, $title, 'font-size="16" font-weight="700"'), ...$parts, '</svg>']) . "\n";
    }

    private static function bar(int $top, string $label, float $value, float $share, string $colour): string
    {
        $width = max(1, (int) round($share * (self::WIDTH - self::LEFT - 120)));
        $baseline = $top + self::BAR - 5;
        return sprintf('<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>', self::LEFT, $top, $width, self::BAR, $colour)
            . self::text(self::LEFT - 8, $baseline, $label, 'text-anchor="end"')
            . self::text(self::LEFT + $width + 8, $baseline, self::number($value), '');
    }

    private static function text(int $x, int $y, string $text, string $more): string
    {
        return sprintf('<text x="%d" y="%d" fill="#111827" %s>%s</text>', $x, $y, $more, htmlspecialchars($text, ENT_XML1 | ENT_QUOTES, 'UTF-8'));
    }

    private static function number(float $value): string
    {
        return number_format($value, $value < 100 ? 2 : 0);
    }
}
