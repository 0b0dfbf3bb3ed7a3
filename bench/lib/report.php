<?php

// Tables for people, JSON for machines. Numbers only.

declare(strict_types=1);

namespace Bench;

function print_machine(array $machine): void
{
    foreach ($machine as $what => $value) {
        printf("%-16s %s\n", $what, $value);
    }
}

/**
 * A result is {row, bound, title, unit, rounds?: {side: [number...]}, samples?: {side: [number...]}, values?: {name: text}}.
 * The first side of `rounds` is ours.
 */
function print_result(array $result): void
{
    printf("\n%s, %s: %s\n", $result['row'], $result['bound'] ? 'bound to one core' : 'unbound', $result['title']);
    if (isset($result['rounds'])) {
        print_rounds($result['rounds'], $result['unit']);
    }
    if (isset($result['samples'])) {
        print_samples($result['samples'], $result['unit']);
    }
    foreach ($result['values'] ?? [] as $name => $value) {
        printf("  %-60s %s\n", $name, $value);
    }
}

function print_rounds(array $sides, string $unit): void
{
    printf("  %-50s %10s %10s %10s   %s\n", $unit, 'median', 'min', 'max', 'times ours (min to max)');
    $ours = reset($sides);
    foreach ($sides as $name => $rounds) {
        $beside = $rounds === $ours ? '' : beside($rounds, $ours);
        printf("  %-50s %10.2f %10.2f %10.2f   %s\n", $name, median($rounds), min($rounds), max($rounds), $beside);
    }
}

/** Their time in ours. Without a range where the rounds were not interleaved: then only the medians are comparable. */
function beside(array $theirs, array $ours): string
{
    if (count($theirs) !== count($ours)) {
        return sprintf('%.2f', median($theirs) / median($ours));
    }
    $ratios = ratios($theirs, $ours);
    return sprintf('%.2f (%.2f to %.2f)', median($ratios), min($ratios), max($ratios));
}

function print_samples(array $sides, string $unit): void
{
    printf("  %-50s %10s %10s %10s %10s %10s %6s\n", $unit, 'median', 'p95', 'p99', 'min', 'max', 'jobs');
    foreach ($sides as $name => $samples) {
        $numbers = [median($samples), quantile($samples, 0.95), quantile($samples, 0.99), min($samples), max($samples)];
        printf("  %-50s %10.1f %10.1f %10.1f %10.1f %10.1f %6d\n", $name, ...[...$numbers, count($samples)]);
    }
}

function print_load_at_end(): void
{
    printf("\nload at the end  %s\n", load());
}

function write_json(string $file, array $machine, array $measured, array $failed): void
{
    $flags = JSON_PRETTY_PRINT | JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES;
    file_put_contents($file, json_encode(['machine' => $machine, 'rows' => $measured, 'failed' => $failed], $flags) . "\n");
}
