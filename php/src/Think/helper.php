<?php

// think-queue's helper, in an application without think-queue that has no function of this name. Conditional, so that opcache.preload does not
// declare it in other applications.

if (!function_exists('queue')) {
    function queue($job, $data = '', $delay = 0, $queue = null)
    {
        return Ferry\queue($job, $data, $delay, $queue);
    }
}
