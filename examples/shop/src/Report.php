<?php

namespace Shop;

use RuntimeException;

/** The sales report: `sales.csv`, one line for each article and a total, and `sales.svg`, its chart. */
final class Report
{
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
        Files::replace("{$this->folder}/sales.svg", fn (string $file) => file_put_contents($file, Chart::svg($sales)));
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
}
