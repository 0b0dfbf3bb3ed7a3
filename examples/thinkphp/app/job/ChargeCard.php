<?php

namespace app\job;

use think\queue\Job;

/** Fails for good at its second attempt. */
class ChargeCard
{
    public function fire(Job $job, array $data): void
    {
        throw new \RuntimeException("the bank refused order {$data['order']} in attempt {$job->attempts()}");
    }

    public function failed(array $data, \Throwable $e): void
    {
        echo "order {$data['order']} is not paid: {$e->getMessage()}\n";
    }
}
