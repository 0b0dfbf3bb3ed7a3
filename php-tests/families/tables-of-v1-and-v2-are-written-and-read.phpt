--TEST--
Every recorded case of a table of v1 and v2 leaves the same rows behind and answers the same
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/families.php';

use Ferry\Queue;

const COLUMNS = ['id', 'queue', 'payload', 'attempts', 'reserved', 'reserved_at', 'available_at', 'created_at'];

/** A fresh file in the state before a case. */
function database(array $rows, int $shift): PDO
{
    static $number = 0;
    $path = temp_dir() . '/jobs-' . ++$number . '.sqlite';
    $pdo = new PDO("sqlite:$path");
    $pdo->exec('CREATE TABLE prefix_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, payload TEXT NOT NULL, attempts INTEGER NOT NULL,
        reserved INTEGER NOT NULL, reserved_at INTEGER, available_at INTEGER NOT NULL, created_at INTEGER NOT NULL)');
    put($pdo, $rows, $shift);
    Queue::configure(['default' => 'database', 'connections' => ['database' => ['type' => 'sqlite', 'path' => $path, 'table' => 'prefix_jobs', 'family' => 'think1']]]);
    return $pdo;
}

function put(PDO $pdo, array $rows, int $shift): void
{
    $pdo->exec('DELETE FROM prefix_jobs');
    foreach ($rows as $row) {
        $row = array_map(fn ($value) => is_int($value) && $value > 1.6e9 ? $value + $shift : $value, $row);
        $marks = implode(', ', array_fill(0, count(COLUMNS), '?'));
        $pdo->prepare('INSERT INTO prefix_jobs (' . implode(', ', COLUMNS) . ") VALUES ($marks)")->execute(array_values($row));
    }
}

function store(PDO $pdo): array
{
    return ['prefix_jobs' => $pdo->query('SELECT * FROM prefix_jobs ORDER BY id')->fetchAll(PDO::FETCH_ASSOC)];
}

$played = 0;
foreach (old_cases('database:mariadb') as $name => $case) {
    $played++;
    if (str_ends_with($name, 'pop-expire-null')) {
        // The configuration of this test has an expiry; the conformance suite plays it.
        continue;
    }
    $shift = early_in_a_second() - RECORDED_AT;
    $before = $case['before']['prefix_jobs'];
    $operation = $case['operation'];
    if (str_starts_with($operation, 'job.')) {
        $pdo = database([array_replace($before[0], ['reserved' => 0, 'reserved_at' => null])], $shift);
        $job = Queue::pop();
        same_state("$name: our reservation is the recorded one", $case['before'], store($pdo), $shift);
    } else {
        $pdo = database($before, $shift);
    }
    $call = match ($operation) {
        'job.delete' => fn () => $job->delete(),
        'job.release' => fn () => $job->release($case['args']['delay']),
        'job.release+pop' => fn () => $job->release($case['args']['delay']) ?? Queue::pop(),
        'pop' => fn () => Queue::pop($case['args']['queue']),
        default => fn () => [Queue::class, $operation](...old_arguments($name, $case)),
    };
    if (str_ends_with($name, 'later-DateTime-throws')) {
        same("$name: answers as later does", 1, $call());
        continue;
    }
    $answer = old_answer($name, $case['returns'], $call);
    if ($answer instanceof Ferry\Job) {
        $ours = old_deviation($name)['answer']['reserved'] ?? [];
        $expected = array_filter(['getRawBody' => $ours['body'] ?? null, 'attempts' => $ours['attempts'] ?? null]) + $case['returns'];
        foreach (['getRawBody', 'attempts', 'getQueue', 'getName'] as $method) {
            same("$name: $method()", $expected[$method], $answer->$method());
        }
    } elseif (!is_array($case['returns'])) {
        same("$name: the answer", $case['returns'], $answer);
    }
    same_state($name, old_deviation($name)['after'] ?? $case['after'], store($pdo), $shift);
}
same('cases', 38, $played);
done();
?>
--EXPECT--
ok
