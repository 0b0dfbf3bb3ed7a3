<?php

// What every row needs: how much to do, the rounds, and the answer to bench/run.

declare(strict_types=1);

namespace Bench;

require __DIR__ . '/process.php';
require __DIR__ . '/statistics.php';

function is_small(): bool
{
    return (bool) getenv('BENCH_SMALL');
}

/** The number for a full run, or the one for a small run. */
function amount(int $full, int $small): int
{
    return is_small() ? $small : $full;
}

/**
 * Microseconds per operation of each side, round by round: A B C A B C. Each side is [prepare, work, check]; only `work` is timed.
 * One round before the first is not counted. A side whose operations are slow may do fewer of them.
 *
 * @param array<string, array{callable, callable, callable}> $sides
 * @param int|array<string, int> $operations in one round, of all sides or of each
 */
function interleaved(array $sides, int $rounds, int|array $operations): array
{
    $times = array_fill_keys(array_keys($sides), []);
    for ($round = -1; $round < $rounds; $round++) {
        foreach ($sides as $name => [$prepare, $work, $check]) {
            $prepare();
            $began = hrtime(true);
            $work();
            $took = hrtime(true) - $began;
            $check();
            if ($round >= 0) {
                $times[$name][] = $took / 1000 / (is_int($operations) ? $operations : $operations[$name]);
            }
        }
    }
    return $times;
}

/** A count that is wrong ends the row. */
function expect(int $wanted, int $found, string $what): void
{
    if ($wanted !== $found) {
        fail("$what: $found instead of $wanted");
    }
}

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

function answer(array $result): void
{
    echo json_encode($result, JSON_THROW_ON_ERROR);
}
