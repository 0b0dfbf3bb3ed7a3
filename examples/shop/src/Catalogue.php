<?php

namespace Shop;

/** What the shop sells. */
final class Catalogue
{
    /** Name and price in cents by article number. */
    private const PRODUCTS = [
        'KETTLE' => ['Kettle', 3490],
        'LAMP' => ['Desk lamp', 5900],
        'MUG' => ['Mug', 1250],
        'CHAIR' => ['Chair', 12900],
        'RADIO' => ['Radio', 7995],
        'CLOCK' => ['Wall clock', 2475],
    ];

    /** @return list<string> */
    public static function articles(): array
    {
        return array_keys(self::PRODUCTS);
    }

    public static function has(string $article): bool
    {
        return isset(self::PRODUCTS[$article]);
    }

    public static function name(string $article): string
    {
        return self::PRODUCTS[$article][0];
    }

    public static function price(string $article): int
    {
        return self::PRODUCTS[$article][1];
    }
}
