<?php

namespace Shop;

use PDO;

/** The warehouse's own database: orders and their lines. Everything here may be done twice. */
final class Warehouse
{
    private function __construct(private PDO $pdo)
    {
    }

    public static function open(Settings $settings): self
    {
        return new self(Database::open($settings->path('warehouse.sqlite'), <<<'SQL'
            CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, email TEXT NOT NULL, total INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS lines (
                number TEXT NOT NULL REFERENCES orders (number), article TEXT NOT NULL, quantity INTEGER NOT NULL, amount INTEGER NOT NULL,
                PRIMARY KEY (number, article)
            ) WITHOUT ROWID;
            SQL));
    }

    public function store(Order $order): void
    {
        Database::transaction($this->pdo, function (PDO $pdo) use ($order) {
            $pdo->prepare('INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE SET email = excluded.email, total = excluded.total')
                ->execute([$order->number, $order->email, $order->total()]);
            $line = $pdo->prepare(
                'INSERT INTO lines VALUES (?, ?, ?, ?)
                 ON CONFLICT (number, article) DO UPDATE SET quantity = excluded.quantity, amount = excluded.amount',
            );
            foreach ($order->lines as $article => $quantity) {
                $line->execute([$order->number, $article, $quantity, Catalogue::price($article) * $quantity]);
            }
        });
    }

    public function has(string $number): bool
    {
        $found = $this->pdo->prepare('SELECT 1 FROM orders WHERE number = ?');
        $found->execute([$number]);
        return $found->fetchColumn() !== false;
    }

    public function count(): int
    {
        return (int) $this->pdo->query('SELECT COUNT(*) FROM orders')->fetchColumn();
    }

    /** @return array<string, array{int, int}> units and cents by article */
    public function sales(): array
    {
        $rows = $this->pdo->query('SELECT article, SUM(quantity), SUM(amount) FROM lines GROUP BY article ORDER BY article');
        $sales = [];
        foreach ($rows->fetchAll(PDO::FETCH_NUM) as [$article, $units, $cents]) {
            $sales[$article] = [(int) $units, (int) $cents];
        }
        return $sales;
    }
}
