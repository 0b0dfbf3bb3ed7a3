<?php

// What a process costs while there is nothing to do.

declare(strict_types=1);

namespace Bench;

/** Milliseconds of CPU that all threads of a process have used so far. */
function cpu_milliseconds(int $pid): float
{
    $nanoseconds = 0;
    foreach (glob("/proc/$pid/task/*/schedstat") as $file) {
        $nanoseconds += (int) @file_get_contents($file);
    }
    return $nanoseconds / 1e6;
}

function wake_ups(int $pid): int
{
    $count = 0;
    foreach (glob("/proc/$pid/task/*/status") as $file) {
        preg_match('/^voluntary_ctxt_switches:\s*(\d+)/m', (string) @file_get_contents($file), $found);
        $count += (int) ($found[1] ?? 0);
    }
    return $count;
}

/** CPU and wake-ups of each process, per second, while it is watched. */
function idle_cost(array $pids, int $seconds): array
{
    $look = fn () => array_map(fn ($pid) => [cpu_milliseconds($pid), wake_ups($pid)], $pids);
    $before = $look();
    sleep($seconds);
    $after = $look();
    $cost = [];
    foreach ($pids as $name => $pid) {
        $cpu = ($after[$name][0] - $before[$name][0]) / $seconds;
        $cost["$name, CPU a second"] = sprintf('%.3f ms (%.1f wake-ups)', $cpu, ($after[$name][1] - $before[$name][1]) / $seconds);
    }
    return $cost;
}

function threads(int $pid): int
{
    return count(glob("/proc/$pid/task/*"));
}

function resident_mebibytes(int $pid): string
{
    preg_match('/^VmRSS:\s*(\d+)/m', (string) @file_get_contents("/proc/$pid/status"), $found);
    return sprintf('%.1f MiB', ($found[1] ?? 0) / 1024);
}
