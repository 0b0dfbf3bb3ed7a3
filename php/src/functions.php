<?php

namespace Ferry;

// Conditional: a script of opcache.preload that loads Composer's autoloader and then compiles all files would declare it twice.
if (!function_exists(__NAMESPACE__ . '\queue')) {
    /**
     * Pushes a job, as think-queue's helper `queue()` does. An object with a public `$connection`, `$queue` or `$delay` ({@see Queueable}) says with
     * them where and when, unless the arguments do.
     *
     * @param string|object $job as for {@see Queue::push()}
     * @param int|float|string|\DateTimeInterface|\DateInterval|null $delay as for {@see Queue::later()}; 0 and null: at once
     * @return string|int|null as {@see Queue::push()}
     */
    function queue(string|object $job, mixed $data = '', mixed $delay = 0, ?string $queue = null): string|int|null
    {
        Think\Extension::demand();
        $wish = fn (string $name) => is_object($job) && isset($job->$name) ? $job->$name : null;
        $connection = Queue::connection($wish('connection'));
        $delay = $delay ?: $wish('delay');
        $queue ??= $wish('queue');
        return $delay ? $connection->later($delay, $job, $data, $queue) : $connection->push($job, $data, $queue);
    }
}
