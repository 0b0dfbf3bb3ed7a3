<?php

namespace Shop\Stage;

use Shop\Catalogue;
use Shop\Order;

/** Orders out of thin air; the same ones every time. */
final class Orders
{
    private const NAMES = ['Ada Lovelace', 'Zoë Müller', '王芳', 'Søren Kjær', 'Nguyễn An', "Tom O'Neill", 'Мария Иванова'];

    /** @return list<Order> numbered from `<letter>0001` */
    public static function many(string $letter, int $count): array
    {
        return array_map(fn ($index) => self::one($letter, $index), range(1, $count));
    }

    private static function one(string $letter, int $index): Order
    {
        $articles = Catalogue::articles();
        $lines = [];
        for ($line = 0; $line <= $index % 3; $line++) {
            $lines[$articles[($index * 5 + $line * 7) % count($articles)]] = 1 + ($index * 3 + $line) % 4;
        }
        return Order::fromArray([
            'number' => sprintf('%s%04d', $letter, $index),
            'name' => self::NAMES[$index % count(self::NAMES)],
            'email' => sprintf('customer%d@example.com', $index),
            'phone' => sprintf('+4915%08d', $index),
            'lines' => $lines,
        ]);
    }
}
