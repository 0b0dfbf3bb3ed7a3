<?php

declare(strict_types=1);

namespace Ferry\Console;

/** Finds what somebody may have meant. */
final class Suggestion
{
    /** The known word that is nearest to this one; null when none is near. @param iterable<string|int> $known */
    public static function nearest(string $word, iterable $known): ?string
    {
        $near = [];
        foreach ($known as $candidate) {
            $distance = levenshtein(strtolower($word), strtolower((string) $candidate));
            if ($distance <= max(2, intdiv(strlen($word), 3))) {
                $near[(string) $candidate] = $distance;
            }
        }
        asort($near);
        return $near === [] ? null : (string) array_key_first($near);
    }

    /** ` (did you mean mail?)`, or nothing. @param iterable<string|int> $known */
    public static function hint(string $word, iterable $known, string $format = '%s'): string
    {
        $nearest = self::nearest($word, $known);
        return $nearest === null ? '' : sprintf(" (did you mean $format?)", $nearest);
    }
}
