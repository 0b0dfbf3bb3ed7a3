<?php

// One run: jobs are pushed, workers are attacked while they work, the rest is worked in peace, then the books are compared.

declare(strict_types=1);

namespace Bench;

use Ferry\Connection;

function chaos_run(string $broker, Plan $plan, string $dir): Verdict
{
    $faults = faults_of($broker, $dir);
    try {
        $queue = new Connection($faults->url());
        push_effects($queue, $plan);
        $start = microtime(true);
        $crowd = new Crowd($faults->url(), $dir, $plan->longestJob());
        attack($crowd, $plan, $faults);
        $attacked = microtime(true) - $start;
        drain($crowd, $queue, $plan, $faults);
        $complaints = $crowd->leave();
        $seconds = microtime(true) - $start;
        return new Verdict($plan, $crowd, $faults->log(), $queue->stats(), buried($queue), $complaints, [$attacked, $seconds]);
    } finally {
        $faults->stop();
    }
}

function faults_of(string $broker, string $dir): Faults
{
    return match ($broker) {
        'redis' => DurableRedis::start("$dir/redis"),
        'rabbitmq' => new DurableRabbit("$dir/rabbit"),
        'sqlite' => new NoFaults("sqlite:$dir/jobs.sqlite?retry_after=" . Plan::RETRY_AFTER),
    };
}

function push_effects(Connection $queue, Plan $plan): void
{
    $single = fn (int $number) => $plan->singleTries() > 0 && $number % $plan->singleTries() === 0;
    foreach (array_chunk(range(1, $plan->jobs), 1000) as $numbers) {
        $queue->bulk(array_map(fn ($number) => $single($number) ? new SingleTry($number) : new Effect($number), $numbers));
    }
}

/** Until nearly every job has left its effect, or nothing moves any more. */
function attack(Crowd $crowd, Plan $plan, Faults $broker): void
{
    $now = microtime(true);
    [$kill, $stop, $moved, $done] = [$now + $plan->killEvery(), $now + Plan::STOP_EVERY, $now, 0];
    [$faults, $longStops] = [$plan->faults(), $plan->longStops()];
    while ($done < Plan::ENOUGH * $plan->jobs && ($now = microtime(true)) < $moved + Plan::PATIENCE) {
        if ($now >= $kill) {
            $crowd->killOne();
            $kill = max($kill + $plan->killEvery(), $now);
        }
        if ($now >= $stop) {
            $crowd->stopOne(Plan::SHORT_STOP);
            $stop = $now + Plan::STOP_EVERY;
        }
        if ($longStops !== [] && $done >= $longStops[0] * $plan->jobs) {
            array_shift($longStops);
            $crowd->stopOne($plan->longStop());
        }
        if ($faults !== [] && $done >= $faults[0][0] * $plan->jobs && $broker->poll()) {
            $broker->begin(array_shift($faults)[1]);
        }
        $broker->poll();
        $crowd->wake();
        usleep(10_000);
        $before = $done;
        $done = $crowd->countDone();
        $moved = $done > $before ? $now : $moved;
    }
}

/** What dead workers held comes back and is worked again: these are the duplicates to count. */
function drain(Crowd $crowd, Connection $queue, Plan $plan, Faults $broker): void
{
    [$end, $done] = [microtime(true) + Plan::PATIENCE, 0];
    while (microtime(true) < $end) {
        $broker->poll();
        $crowd->wake();
        $before = $done;
        $done = $crowd->countDone();
        $end = $done > $before ? microtime(true) + Plan::PATIENCE : $end;
        ['ready' => $ready, 'delayed' => $delayed, 'reserved' => $reserved, 'failed' => $failed] = $queue->stats();
        if ($ready + $delayed + $reserved === 0 && $done + $failed >= $plan->jobs) {
            return;
        }
        usleep(100_000);
    }
}

/** @return list<int> the jobs that were buried */
function buried(Connection $queue): array
{
    $numbers = [];
    do {
        $page = $queue->failed(limit: 500, offset: count($numbers));
        foreach ($page as $job) {
            $numbers[] = unserialize(json_decode($job['payload'], true)['data']['command'])->number();
        }
    } while ($page !== []);
    return $numbers;
}
