<?php

namespace Shop;

use PDO;

/** An object job: takes one order of the old shop over, in one transaction, so that doing it again changes nothing. */
final class ImportOrder
{
    /** Times it may be tried. */
    public int $tries = 6;

    public function __construct(private array $order)
    {
    }

    public function handle(): void
    {
        static $pdo = null;
        $pdo ??= self::database(Settings::fromEnvironment());
        $order = Order::fromArray($this->order);
        Database::transaction($pdo, function (PDO $pdo) use ($order) {
            $new = $pdo->prepare('INSERT INTO imported VALUES (?, ?) ON CONFLICT (number) DO NOTHING');
            $new->execute([$order->number, $order->total()]);
            if ($new->rowCount() === 1) {
                $sold = $pdo->prepare('INSERT INTO sold VALUES (?, ?) ON CONFLICT (article) DO UPDATE SET units = units + excluded.units');
                array_map(fn ($article, $quantity) => $sold->execute([$article, $quantity]), array_keys($order->lines), $order->lines);
            }
        });
    }

    public static function database(Settings $settings): PDO
    {
        return Database::open($settings->path('import.sqlite'), <<<'SQL'
            CREATE TABLE IF NOT EXISTS imported (number TEXT PRIMARY KEY, total INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS sold (article TEXT PRIMARY KEY, units INTEGER NOT NULL) WITHOUT ROWID;
            SQL);
    }
}
