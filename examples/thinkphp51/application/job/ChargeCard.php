<?php

namespace app\job;

use think\queue\Job;

/** Fails every time. After `--tries` attempts its `failed()` is called. */
class ChargeCard
{
    public function fire(Job $job, array $data): void
    {
        throw new \RuntimeException("the bank refused order {$data['order']} in attempt {$job->attempts()}");
    }

    public function failed(array $data): void
    {
        echo "order {$data['order']} is not paid\n";
    }
}
