<?php

// One run: jobs are pushed, workers are attacked while they work, the rest is worked in peace, then the books are compared.

declare(strict_types=1);

namespace Bench;

use Ferry\Connection;

function chaos_run(string $broker, Plan $plan, string $dir): Verdict
{
    $redis = $broker === 'redis' ? DurableRedis::start("$dir/redis") : null;
    $url = ($redis ? "redis://127.0.0.1:$redis->port" : "sqlite:$dir/jobs.sqlite") . '?retry_after=' . Plan::RETRY_AFTER;
    $queue = new Connection($url);
    push_effects($queue, $plan->jobs);

    $start = microtime(true);
    $crowd = new Crowd($url, $dir, $plan->longestJob());
    try {
        attack($crowd, $plan, $redis);
        $attacked = microtime(true) - $start;
        drain($crowd, $queue);
        $complaints = $crowd->leave();
        $seconds = microtime(true) - $start;
        return new Verdict($broker, $plan, $crowd, $redis?->restarts ?? 0, $queue->stats(), $complaints, [$attacked, $seconds]);
    } finally {
        $redis?->stop();
    }
}

function push_effects(Connection $queue, int $jobs): void
{
    foreach (array_chunk(range(1, $jobs), 1000) as $numbers) {
        $queue->bulk(array_map(fn ($number) => new Effect($number), $numbers));
    }
}

/** Until nearly every job has left its effect, or nothing moves any more. */
function attack(Crowd $crowd, Plan $plan, ?DurableRedis $redis): void
{
    $now = microtime(true);
    [$kill, $stop, $moved, $done] = [$now + Plan::KILL_EVERY, $now + Plan::STOP_EVERY, $now, 0];
    [$restarts, $longStops] = [$redis ? $plan->restarts() : [], $plan->longStops()];
    while ($done < Plan::ENOUGH * $plan->jobs && ($now = microtime(true)) < $moved + Plan::PATIENCE) {
        if ($now >= $kill) {
            $crowd->killOne();
            $kill = max($kill + Plan::KILL_EVERY, $now);
        }
        if ($now >= $stop) {
            $crowd->stopOne(Plan::SHORT_STOP);
            $stop = $now + Plan::STOP_EVERY;
        }
        if ($longStops !== [] && $done >= $longStops[0] * $plan->jobs) {
            array_shift($longStops);
            $crowd->stopOne(Plan::LONG_STOP);
        }
        if ($restarts !== [] && $done >= $restarts[0][0] * $plan->jobs) {
            $redis->restart(array_shift($restarts)[1]);
        }
        $crowd->wake();
        usleep(10_000);
        $before = $done;
        $done = $crowd->countDone();
        $moved = $done > $before ? $now : $moved;
    }
}

/** What dead workers held comes back and is worked again: these are the duplicates to count. */
function drain(Crowd $crowd, Connection $queue): void
{
    $end = microtime(true) + Plan::PATIENCE;
    while (microtime(true) < $end && $queue->size() > 0) {
        $crowd->wake();
        $crowd->countDone();
        usleep(50_000);
    }
}
