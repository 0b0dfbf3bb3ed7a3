<?php
// What every test starts with: saying what must hold, waiting for what must happen, and tidying up.
//
// A test prints nothing but what its --EXPECT-- shows; most end in done(), which prints `ok` when every check held.

error_reporting(E_ALL);

const SUPPORT = __DIR__;

/** A path in the project. */
function project(string $path): string
{
    return getenv('FERRY_ROOT') . '/' . $path;
}

/** A recorded file, as arrays. */
function fixture(string $name): array
{
    return json_decode(file_get_contents(project("fixtures/$name")), true, 4096, JSON_THROW_ON_ERROR);
}

/** Notes whether something holds; what does not is printed. */
function check(string $what, bool $holds, mixed $seen = ''): void
{
    $GLOBALS['checks'] = ($GLOBALS['checks'] ?? 0) + 1;
    if (!$holds) {
        $GLOBALS['broken'] = ($GLOBALS['broken'] ?? 0) + 1;
        echo "NOT: $what", $seen === '' ? '' : ' -- ' . (is_string($seen) ? $seen : json_encode($seen, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR)), "\n";
    }
}

/** Two values are the same. */
function same(string $what, mixed $expected, mixed $actual): void
{
    check($what, $expected === $actual, $expected === $actual ? '' : "\n  expected: " . shown($expected) . "\n  found:    " . shown($actual));
}

/** Text holds a piece. */
function holds(string $what, string $piece, string $text): void
{
    check($what, str_contains($text, $piece), "no `$piece` in: $text");
}

function shown(mixed $value): string
{
    return is_string($value) ? $value : var_export($value, true);
}

/** The end of a test. */
function done(): void
{
    $checks = $GLOBALS['checks'] ?? 0;
    echo match (true) {
        $checks === 0 => "nothing was checked\n",
        isset($GLOBALS['broken']) => "{$GLOBALS['broken']} of $checks checks failed\n",
        default => "ok\n",
    };
}

/** What a call throws, as `Class: message`; `nothing` when it returns. */
function thrown(callable $call): string
{
    try {
        $call();
    } catch (Throwable $e) {
        return get_class($e) . ': ' . $e->getMessage();
    }
    return 'nothing';
}

/** Seconds, for measuring. */
function clock(): float
{
    return microtime(true);
}

/** Waits until something holds. A test fails here rather than wait for ever. */
function wait_until(callable $holds, string $what, float $seconds = 45): void
{
    $end = microtime(true) + $seconds;
    while (!$holds()) {
        if (microtime(true) > $end) {
            throw new RuntimeException("waited $seconds s in vain until $what");
        }
        usleep(2000);
        // PHP remembers the size of a file that it saw empty.
        clearstatcache();
    }
}

/** Waits for the beginning of a second, so that a short test sees one value of the clock. */
function early_in_a_second(): int
{
    wait_until(fn () => fmod(microtime(true), 1) < 0.4, 'a second begins');
    return time();
}

/** A folder that goes with the test. A forked child does not remove its parent's. */
function temp_dir(): string
{
    static $made = null;
    if ($made === null) {
        $made = sys_get_temp_dir() . '/ferry-' . getmypid() . '-' . bin2hex(random_bytes(4));
        mkdir($made);
        at_the_end(function () use ($made) {
            // Files whose names begin with a dot too.
            array_map('unlink', glob("$made/{*,.[!.]*}", GLOB_BRACE) ?: []);
            @rmdir($made);
        });
    }
    return $made;
}

/** Runs something when the test ends, in the process that asked for it only. Last asked, first run. */
function at_the_end(callable $work): void
{
    static $tasks = null;
    if ($tasks === null) {
        $tasks = [];
        register_shutdown_function(function () use (&$tasks) {
            foreach (array_reverse($tasks) as [$owner, $task]) {
                if ($owner === getmypid()) {
                    $task();
                }
            }
        });
    }
    $tasks[] = [getmypid(), $work];
}

/** Forks. The child runs `$work` and ends without the parent's shutdown functions; its code is `$work`'s answer. */
function fork(callable $work): int
{
    $pid = pcntl_fork();
    if ($pid === 0) {
        $code = 99;
        try {
            $code = (int) $work();
        } catch (Throwable $e) {
            fwrite(STDERR, 'child: ' . $e . "\n");
        }
        exit($code);
    }
    return $pid;
}

/** Waits for a forked child and answers its exit code, 128 + n after a signal. */
function reap(int $pid): int
{
    pcntl_waitpid($pid, $status);
    return pcntl_wifexited($status) ? pcntl_wexitstatus($status) : 128 + pcntl_wtermsig($status);
}
