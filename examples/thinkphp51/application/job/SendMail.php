<?php

namespace app\job;

use think\queue\Job;

/** A handler as think-queue v2 has it. */
class SendMail
{
    public function fire(Job $job, array $data): void
    {
        echo "mail to {$data['to']}: {$data['subject']}\n";
        $job->delete();
    }
}
