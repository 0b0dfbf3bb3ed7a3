<?php

// The handlers of the demo. A handler is a class with fire($job, $data); it says delete() when the job is done.

/** Notes what happened to a job, so that report.php can tell. */
function note(string $label, string $what): void
{
    file_put_contents(getenv('FERRY_DEMO_DIR') . '/notes', "$label\t$what\n", FILE_APPEND | LOCK_EX);
}

final class SendMail
{
    public function fire(Ferry\Job $job, array $data): void
    {
        note($data['label'], "sent to {$data['to']} in attempt {$job->attempts()}");
        $job->delete();
    }
}

final class FlakyApi
{
    public function fire(Ferry\Job $job, array $data): void
    {
        if ($job->attempts() < 3) {
            note($data['label'], "attempt {$job->attempts()} failed");
            throw new RuntimeException('the API is not answering');
        }
        note($data['label'], "succeeded in attempt {$job->attempts()}");
        $job->delete();
    }
}

final class BrokenImport
{
    public function fire(Ferry\Job $job, array $data): void
    {
        note($data['label'], "attempt {$job->attempts()} failed");
        throw new RuntimeException('line 7 has no price');
    }

    public function failed(array $data, Throwable $e): void
    {
        note($data['label'], "gave up: {$e->getMessage()}");
    }
}

/** An object job: it is serialized with its properties and run by handle(). */
final class ResizeImage
{
    public int $tries = 5;

    public function __construct(private string $label, private int $width)
    {
    }

    public function handle(): void
    {
        note($this->label, "resized to {$this->width} px");
    }
}
