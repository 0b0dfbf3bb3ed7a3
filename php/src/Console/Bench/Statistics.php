<?php

declare(strict_types=1);

namespace Ferry\Console\Bench;

final class Statistics
{
    /** The value below which the given share of the values lies. @param non-empty-list<float> $values */
    public static function quantile(array $values, float $share): float
    {
        sort($values);
        $at = $share * (count($values) - 1);
        $low = (int) floor($at);
        $high = min($low + 1, count($values) - 1);
        return $values[$low] + ($values[$high] - $values[$low]) * ($at - $low);
    }

    /** @param non-empty-list<float> $values */
    public static function median(array $values): float
    {
        return self::quantile($values, 0.5);
    }
}
