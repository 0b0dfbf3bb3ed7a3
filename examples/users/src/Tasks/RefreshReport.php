<?php

namespace App\Tasks;

use Ferry\RedisTask\Task;

/** Counts the users of each domain. */
final class RefreshReport extends Task
{
    public function handle(): bool
    {
        $lines = ['domain,users'];
        foreach (users()->byDomain() as $domain => $users) {
            $lines[] = "$domain,$users";
        }
        file_put_contents(folder() . '/report.csv', implode("\n", $lines) . "\n");
        echo '  report.csv: ', count($lines) - 1, " domains\n";
        return true;
    }
}
