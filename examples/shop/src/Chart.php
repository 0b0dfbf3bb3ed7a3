<?php

namespace Shop;

/** The sales of each article as bars, in SVG: a title, two axes, and the value above each bar. */
final class Chart
{
    public const WIDTH = 640;
    public const HEIGHT = 400;
    public const TITLE = 'Sales by article';
    /** The highest bar, in pixels; the others are in proportion. */
    private const HIGHEST = 280;
    /** Where the axes meet. */
    private const LEFT = 80;
    private const FLOOR = 350;

    /** @param array<string, array{int, int}> $sales units and cents by article */
    public static function svg(array $sales): string
    {
        $text = fn (int $x, int $y, string $anchor, string $words) => "<text x=\"$x\" y=\"$y\" text-anchor=\"$anchor\">" . htmlspecialchars($words) . "</text>\n";
        $svg = sprintf('<svg xmlns="http://www.w3.org/2000/svg" width="%1$d" height="%2$d" viewBox="0 0 %1$d %2$d" font-family="sans-serif" font-size="12">', self::WIDTH, self::HEIGHT) . "\n";
        $svg .= '<title>' . self::TITLE . "</title>\n" . '<text x="320" y="24" text-anchor="middle" font-size="16">' . self::TITLE . "</text>\n";
        $most = max(array_column($sales, 1));
        // At 1, 2, 3 ... of the largest power of ten.
        foreach (range(0, $most, 10 ** strlen((string) $most) / 10) as $cents) {
            $y = self::FLOOR - (int) round($cents / $most * self::HIGHEST);
            $svg .= sprintf('<line class="tick" x1="%d" y1="%2$d" x2="%3$d" y2="%2$d" stroke="#ddd"/>', self::LEFT, $y, self::WIDTH - 20) . "\n";
            $svg .= $text(self::LEFT - 6, $y + 4, 'end', self::value((int) $cents));
        }
        $svg .= '<text transform="rotate(-90)" x="-200" y="16" text-anchor="middle">EUR</text>' . "\n";
        $step = intdiv(self::WIDTH - self::LEFT - 20, count($sales));
        foreach (self::heights($sales) as $index => $height) {
            $article = array_keys($sales)[$index];
            $x = self::LEFT + $index * $step + 10;
            $svg .= sprintf('<rect class="bar" x="%d" y="%d" width="%d" height="%d" fill="#2070b0"/>', $x, self::FLOOR - $height, $step - 20, $height) . "\n";
            $middle = $x + intdiv($step - 20, 2);
            $svg .= $text($middle, self::FLOOR - $height - 6, 'middle', self::value($sales[$article][1])) . $text($middle, self::FLOOR + 18, 'middle', Catalogue::name($article));
        }
        $svg .= sprintf('<line class="axis" x1="%1$d" y1="%2$d" x2="%1$d" y2="%3$d" stroke="#000"/>', self::LEFT, self::FLOOR - self::HIGHEST - 10, self::FLOOR) . "\n";
        $svg .= sprintf('<line class="axis" x1="%d" y1="%2$d" x2="%3$d" y2="%2$d" stroke="#000"/>', self::LEFT, self::FLOOR, self::WIDTH - 20) . "\n";
        return "$svg</svg>\n";
    }

    /** @return list<int> the heights of the bars */
    public static function heights(array $sales): array
    {
        $cents = array_column($sales, 1);
        return array_map(fn ($one) => (int) round($one / max($cents) * self::HIGHEST), $cents);
    }

    /** What stands above a bar: whole euros. */
    public static function value(int $cents): string
    {
        return number_format($cents / 100, 0, '.', ' ');
    }
}
