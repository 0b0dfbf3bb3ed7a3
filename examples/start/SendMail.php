<?php

class SendMail
{
    public function fire(Ferry\Job $job, array $data): void
    {
        if (!str_contains($data['to'], '@')) {
            throw new InvalidArgumentException("not an address: {$data['to']}");
        }
        echo "mail to {$data['to']}, attempt {$job->attempts()}\n";
        $job->delete();
    }

    public function failed(array $data, Throwable $e): void
    {
        echo "given up: {$e->getMessage()}\n";
    }
}
