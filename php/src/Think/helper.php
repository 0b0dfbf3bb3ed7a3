<?php

// think-queue's helper, in an application without think-queue that has no function of this name.

function queue($job, $data = '', $delay = 0, $queue = null)
{
    return Ferry\queue($job, $data, $delay, $queue);
}
