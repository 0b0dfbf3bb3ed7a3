<?php

// Pushes a job on a SQLite file in the current folder and works it. Run by scripts/release with the module of an archive.

declare(strict_types=1);

final class Smoke
{
    public static int $worked = 0;

    public function fire(Ferry\Job $job, array $data): void
    {
        self::$worked += $data['add'];
        $job->delete();
    }
}

if (phpversion('ferry') !== $argv[1]) {
    exit('the module says that it is ' . phpversion('ferry') . ", not {$argv[1]}\n");
}
$file = getcwd() . '/smoke.sqlite';
Ferry\Queue::configure("sqlite:$file");
Ferry\Queue::push(Smoke::class, ['add' => 1]);
$code = (new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
array_map('unlink', glob("$file*"));
echo 'worked ', Smoke::$worked;
exit($code);
