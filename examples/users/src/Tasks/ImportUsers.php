<?php

namespace App\Tasks;

use Ferry\RedisTask\Task;

/** Imports a chunk of a CSV file: the task says where it is, the file has the rows. */
final class ImportUsers extends Task
{
    public function handle(): bool
    {
        ['file' => $name, 'first' => $first, 'rows' => $count] = $this->data;
        $file = new \SplFileObject($name);
        $file->setFlags(\SplFileObject::READ_CSV);
        $rows = [];
        foreach (new \LimitIterator($file, $first, $count) as [$email, $who]) {
            $rows[] = [$email, $who];
        }
        users()->import($rows);
        echo "  rows $first to ", $first + count($rows) - 1, "\n";
        return true;
    }
}
