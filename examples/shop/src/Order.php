<?php

namespace Shop;

use InvalidArgumentException;

/** An order that cannot be wrong. Money is in cents. */
final class Order
{
    /** @param array<string, int> $lines how many of each article */
    private function __construct(
        public readonly string $number,
        public readonly string $name,
        public readonly string $email,
        public readonly string $phone,
        public readonly array $lines,
    ) {
    }

    /**
     * From what a browser, a task or a file says.
     *
     * @throws InvalidArgumentException which field is wrong
     */
    public static function fromArray(array $given): self
    {
        $text = fn (string $field) => is_string($given[$field] ?? null) ? trim($given[$field]) : '';
        self::need(preg_match('/^[A-Z][0-9]{4}$/', $text('number')) === 1, 'number', 'a letter and four digits');
        self::need($text('name') !== '' && strlen($text('name')) <= 200, 'name', '1 to 200 bytes');
        self::need(filter_var($text('email'), FILTER_VALIDATE_EMAIL) !== false, 'email', 'an address');
        self::need(preg_match('/^\+[0-9]{8,15}$/', $text('phone')) === 1, 'phone', '+ and 8 to 15 digits');
        $lines = $given['lines'] ?? null;
        self::need(is_array($lines) && $lines !== [], 'lines', 'one article or more');
        foreach ($lines as $article => $quantity) {
            self::need(is_string($article) && Catalogue::has($article), 'lines', 'articles of the catalogue');
            self::need(is_int($quantity) && $quantity >= 1 && $quantity <= 99, 'lines', 'quantities from 1 to 99');
        }
        return new self($text('number'), $text('name'), $text('email'), $text('phone'), $lines);
    }

    public function toArray(): array
    {
        return get_object_vars($this);
    }

    public function total(): int
    {
        $of_line = fn (string $article, int $quantity) => Catalogue::price($article) * $quantity;
        return array_sum(array_map($of_line, array_keys($this->lines), $this->lines));
    }

    /** The article whose picture stands for the order. */
    public function firstArticle(): string
    {
        return array_key_first($this->lines);
    }

    /** 12900 is `129.00 EUR`. */
    public static function money(int $cents): string
    {
        return sprintf('%d.%02d EUR', intdiv($cents, 100), $cents % 100);
    }

    private static function need(bool $holds, string $field, string $wanted): void
    {
        if (!$holds) {
            throw new InvalidArgumentException("$field must be $wanted");
        }
    }
}
