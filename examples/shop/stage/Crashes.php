<?php

namespace Shop\Stage;

use Shop\ImportOrder;
use Shop\Settings;

/** Kills workers at the worst moments. Nothing is left to luck: the other side holds its answer until the worker is gone. */
final class Crashes
{
    public function __construct(private Settings $settings, private Workers $workers)
    {
    }

    /** The SMTP server has the recipient and not yet the mail. */
    public function amidMail(): void
    {
        $held = $this->settings->path('mail/held');
        $this->until(fn () => is_file($held), 'a worker is in the middle of a mail');
        preg_match('/worker-(\d+)\./', file_get_contents($held), $found);
        $this->workers->killAndReplace((int) $found[1]);
    }

    /** The SMS is sent, and the worker has not heard of it. */
    public function amidSms(): void
    {
        $held = $this->settings->path('sms/held');
        $this->until(fn () => is_file($held), 'a worker is in the middle of an SMS');
        preg_match('~shop-worker/(\d+)~', file_get_contents($held), $found);
        $this->workers->killAndReplace((int) $found[1]);
        unlink($held);
    }

    /** The worker waits for the database, with a hundred jobs more in its hands. @param callable(): Process $start the import */
    public function amidImport(callable $start): void
    {
        $pdo = ImportOrder::database($this->settings);
        $pdo->exec('BEGIN IMMEDIATE');
        $start()->wait();
        $this->until(fn () => $this->workers->amidImport() !== null, 'a worker is in the middle of an import');
        $this->workers->killAndReplace($this->workers->amidImport());
        $pdo->exec('COMMIT');
    }

    private function until(callable $holds, string $what): void
    {
        Wait::until(function () use ($holds) {
            $this->workers->mustRun();
            return $holds();
        }, $what);
    }
}
