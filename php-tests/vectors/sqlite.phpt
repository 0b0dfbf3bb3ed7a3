--TEST--
Every recorded case on SQLite leaves the same rows behind and answers the same
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/vectors.php';

use Ferry\Queue;

const COLUMNS = 'id, queue, payload, attempts, reserve_time, available_time, create_time';

/** A fresh file in the state before a case, as think-queue's migration makes it. */
function database(array $case, int $shift): PDO
{
    static $number = 0;
    $path = temp_dir() . '/jobs-' . ++$number . '.sqlite';
    $pdo = new PDO("sqlite:$path");
    $pdo->exec('CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, payload TEXT, attempts INTEGER, reserve_time INTEGER, available_time INTEGER, create_time INTEGER)');
    $pdo->exec('CREATE TABLE tp_failed_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, payload TEXT, exception TEXT, fail_time TEXT DEFAULT CURRENT_TIMESTAMP)');
    put($pdo, $case['before']['tp_jobs'], $shift);
    Queue::configure(['default' => 'database', 'connections' => ['database' => ['type' => 'sqlite', 'path' => $path, 'table' => 'tp_jobs', 'failed_table' => 'tp_failed_jobs']]]);
    return $pdo;
}

function put(PDO $pdo, array $rows, int $shift): void
{
    $pdo->exec('DELETE FROM tp_jobs');
    foreach ($rows as $row) {
        $row = array_map(fn ($value) => moved($value, $shift), $row);
        $pdo->prepare('INSERT INTO tp_jobs (' . COLUMNS . ') VALUES (?, ?, ?, ?, ?, ?, ?)')->execute(array_values($row));
    }
}

function store(PDO $pdo): array
{
    return [
        'tp_jobs' => $pdo->query('SELECT ' . COLUMNS . ' FROM tp_jobs ORDER BY id')->fetchAll(PDO::FETCH_ASSOC),
        'tp_failed_jobs' => $pdo->query('SELECT * FROM tp_failed_jobs')->fetchAll(PDO::FETCH_ASSOC),
    ];
}

/** Pops the row that the case begins with as reserved. The first worker's attempt is the recorded one, or the one before the thief's. */
function reserve(PDO $pdo, array $case, int $shift): Ferry\Job
{
    $row = $case['before']['tp_jobs'][0];
    $stolen = str_contains($case['name'], 'another-worker');
    $ready = array_replace($row, ['attempts' => $row['attempts'] - ($stolen ? 2 : 1), 'reserve_time' => null]);
    put($pdo, [$ready], $shift);
    $job = Queue::pop();
    put($pdo, $case['before']['tp_jobs'], $shift);
    if (!$stolen) {
        // The fence is the moment of the reservation, too.
        $pdo->exec('UPDATE tp_jobs SET reserve_time = ' . time());
    }
    return $job;
}

$cases = cases('sqlite/');
foreach ($cases as $case) {
    $name = $case['name'];
    $shift = early_in_a_second() - RECORDED_AT;
    $pdo = database($case, $shift);
    $operation = $case['operation'];
    $job = str_starts_with($operation, 'job.') ? reserve($pdo, $case, $shift) : null;
    $answer = answer_of($case, match ($operation) {
        'job.delete' => fn () => $job->delete(),
        'job.release' => fn () => $job->release($case['args']['delay']),
        'job.release+pop' => fn () => $job->release($case['args']['delay']) ?? Queue::pop(),
        'pop' => fn () => Queue::pop($case['args']['queue']),
        default => fn () => [Queue::class, $operation](...arguments($case)),
    });
    $expected = expected_answer($case);
    if ($answer instanceof Ferry\Job) {
        popped_as_recorded($name, $expected, $answer, 'database', 'default');
    } elseif (!throws($case)) {
        same("$name: the answer", $expected, $answer);
    }
    same_store($name, deviation($name)['after'] ?? $case['after'], store($pdo), $shift);
}
check('the file holds the cases', count($cases) >= 24, count($cases));
done();
?>
--EXPECT--
ok
