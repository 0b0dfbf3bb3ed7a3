<?php

namespace app\job;

use app\Mailer;
use think\queue\Job;

/** A handler as think-queue has it. */
class SendMail
{
    public function __construct(private Mailer $mailer)
    {
    }

    public function fire(Job $job, array $data): void
    {
        $this->mailer->send($data['to'], $data['subject']);
        $job->delete();
    }
}
