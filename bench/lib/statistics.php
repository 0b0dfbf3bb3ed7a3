<?php

// From many numbers to few.

declare(strict_types=1);

namespace Bench;

/** The value below which the given share of the values lies. */
function quantile(array $values, float $share): float
{
    sort($values);
    $at = $share * (count($values) - 1);
    $low = (int) floor($at);
    $high = min($low + 1, count($values) - 1);
    return $values[$low] + ($values[$high] - $values[$low]) * ($at - $low);
}

function median(array $values): float
{
    return quantile($values, 0.5);
}

/** How many times as long as ours, round by round: what disturbs one round disturbs both sides of it. */
function ratios(array $theirs, array $ours): array
{
    return array_map(fn ($their, $our) => $their / max($our, 1e-9), $theirs, $ours);
}
