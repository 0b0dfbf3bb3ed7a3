<?php

namespace Shop;

use RuntimeException;

/** The sales report: `sales.csv`, one line for each article and a total, and `sales.png`, a bar for each article. */
final class Report
{
    public const CHART = [640, 400];
    /** The highest bar, in pixels; the others are in proportion. */
    public const HIGHEST = 320;
    public const BAR = [0x20, 0x70, 0xb0];
    /** Where the bars stand. */
    public const FLOOR = 360;

    public function __construct(private string $folder)
    {
    }

    /**
     * Writes the report, unless it holds every order already. One process at a time: an older view must not replace a newer one.
     *
     * @return bool whether it was written
     */
    public function refresh(Warehouse $warehouse): bool
    {
        $lock = fopen("{$this->folder}/lock", 'c');
        if ($lock === false || !flock($lock, LOCK_EX)) {
            throw new RuntimeException("{$this->folder}/lock cannot be locked");
        }
        $orders = $warehouse->count();
        if ($this->orders() === $orders) {
            return false;
        }
        $sales = $warehouse->sales();
        // The CSV says how far the report goes, so it comes last: after a crash between the two both are written again.
        Files::replace("{$this->folder}/sales.png", fn (string $file) => self::chart($sales, $file));
        Files::replace("{$this->folder}/sales.csv", fn (string $file) => self::csv($sales, $orders, $file));
        return true;
    }

    /** How many orders the report holds. */
    public function orders(): int
    {
        $last = array_slice($this->rows(), -1)[0] ?? ['', '0'];
        return (int) $last[1];
    }

    /** @return list<list<string>> */
    public function rows(): array
    {
        $lines = is_file("{$this->folder}/sales.csv") ? file("{$this->folder}/sales.csv", FILE_IGNORE_NEW_LINES) : [];
        return array_map(fn ($line) => str_getcsv($line, ',', '"', ''), $lines);
    }

    /** The left edge of the bar of number `$index`, of `$bars`. */
    public static function left(int $index, int $bars): int
    {
        return 40 + $index * intdiv(self::CHART[0] - 80, $bars);
    }

    /** @return list<int> the heights of the bars */
    public static function heights(array $sales): array
    {
        $cents = array_column($sales, 1);
        return array_map(fn ($one) => (int) round($one / max($cents) * self::HIGHEST), $cents);
    }

    private static function csv(array $sales, int $orders, string $path): bool
    {
        $file = fopen($path, 'w');
        $put = fn (array $row) => fputcsv($file, $row, ',', '"', '');
        $put(['article', 'name', 'units', 'cents']);
        foreach ($sales as $article => [$units, $cents]) {
            $put([$article, Catalogue::name($article), $units, $cents]);
        }
        $put(['TOTAL', $orders, array_sum(array_column($sales, 0)), array_sum(array_column($sales, 1))]);
        return fclose($file);
    }

    private static function chart(array $sales, string $path): bool
    {
        $image = imagecreatetruecolor(...self::CHART);
        imagefill($image, 0, 0, imagecolorallocate($image, 255, 255, 255));
        $ink = imagecolorallocate($image, 0, 0, 0);
        $bar = imagecolorallocate($image, ...self::BAR);
        $articles = array_keys($sales);
        foreach (self::heights($sales) as $index => $height) {
            $left = self::left($index, count($sales));
            $right = self::left($index + 1, count($sales)) - 12;
            imagefilledrectangle($image, $left, self::FLOOR - $height, $right, self::FLOOR - 1, $bar);
            imagestring($image, 3, $left, self::FLOOR + 6, $articles[$index], $ink);
        }
        imageline($image, 30, self::FLOOR, self::CHART[0] - 30, self::FLOOR, $ink);
        return imagepng($image, $path);
    }
}
