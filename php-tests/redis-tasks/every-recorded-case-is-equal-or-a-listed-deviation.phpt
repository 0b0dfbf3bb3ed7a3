--TEST--
Every recorded case of the plain Redis tasks, through Task, QueueManager and Worker: the same answers and keys, or those of a listed deviation
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\RedisTask\{QueueManager, Task, Worker};

const RECORDED_AT = 1700000000;

class Report extends Task
{
    public function handle(): bool
    {
        return match ($this->data['act'] ?? '') {
            'false' => false,
            'throw' => throw new Exception('smtp down'),
            'error' => throw new TypeError('x'),
            default => true,
        };
    }
}
class SendEmailTask extends Report
{
    protected $maxAttempts = 2;
}

$server = RedisServer::start();
$redis = $server->client();
$connection = new Ferry\Connection($server->config(['family' => 'redis-task']));
$manager = new QueueManager($connection);

/** A task as the recording's program made it, with its id and its time. Objects and floats in its data are what they were. */
$task = function (stdClass $case): Task {
    $body = json_decode($case->commands[0][2]);
    $data = (array) ($case->args->data ?? $body->data ?? []);
    if (isset($data['base64'])) {
        return new Report([base64_decode($data['base64'])]);
    }
    $task = new $body->class($data);
    [$task->id, $task->createdAt] = [$body->id, $body->created_at];
    return $task;
};
$fields = fn (?Task $task) => $task === null ? null
    : array_combine($names = ['id', 'data', 'attempts', 'maxAttempts', 'delay', 'createdAt'], array_map(fn ($name) => $task->$name, $names));
$work = fn (string $queue) => (new Worker($manager, ['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0]))->start($queue);

/** Does what a case records; the answer where there is one to compare. */
$play = function (stdClass $case, string $queue) use ($manager, $connection, $redis, $task, $fields, $work): mixed {
    foreach ($case->injected ?? [] as $other) {
        foreach ($other->commands ?? [] as $command) {
            $redis->rawCommand(...$command);
        }
    }
    return match (true) {
        $case->name === 'push-invalid-utf8' => str_contains(thrown(fn () => $manager->push($task($case), $queue)), 'UTF-8'),
        $case->operation === 'push' => $manager->push($task($case), $queue),
        // The program dies with the task in its hands.
        $case->name === 'pop-crash-LOSES-TASK' => $connection->pop($queue) && false,
        // The worker parks these, and goes on.
        in_array($case->name, ['pop-bad-json-LOSES-TASK', 'pop-unknown-class-LOSES-TASK', 'pop-arbitrary-class'], true) => $work($queue),
        $case->operation === 'pop' => $fields($manager->pop($queue, 0)),
        $case->operation === 'worker' => $work($queue),
        $case->operation === 'getStats' => $manager->getStats($queue),
        $case->operation === 'retry' => $connection->retryFailed('all', 'email'),
    };
};
/** Answers that are not the recorded ones, because the original threw, or only echoed. */
const ANSWERS = [
    'pop-crash-LOSES-TASK' => false, 'pop-bad-json-LOSES-TASK' => 0, 'pop-unknown-class-LOSES-TASK' => 0, 'pop-arbitrary-class' => 0,
    'work-success' => 0, 'work-false-retry-2' => 0, 'work-throws-final-named-queue' => 0, 'work-throws-Error' => 0, 'retry-script-lrem-with-array' => 1,
];

/** A state to compare: of failure records what the original writes and reads; the texts of ours are in tests of their own. */
$shown = function (array $state): array {
    $record = fn ($text) => array_intersect_key(json_decode($text, true) ?? ['task' => $text], array_flip(['task', 'attempts', 'reason']));
    foreach ($state as $key => ['type' => $type, 'value' => $value]) {
        $state[$key] = str_starts_with($key, 'failed_queue:') ? array_map($record, $value) : $value;
    }
    ksort($state);
    return $state;
};
/** The state found, its times moved to those of the recording; what is at most three seconds late is in time. */
$moved = function (array $found, array $expected, int $shift): array {
    foreach ($found as $key => ['type' => $type, 'value' => $value]) {
        foreach ($type === 'zset' ? $value : [] as $at => [$member, $score]) {
            $score -= $score > 1e9 ? $shift : 0;
            $wanted = array_column($expected[$key]['value'] ?? [], 1, 0)[$member] ?? null;
            $found[$key]['value'][$at][1] = $wanted !== null && $score >= $wanted && $score <= $wanted + 3 ? $wanted : (string) $score;
        }
    }
    return $found;
};
$dump = function () use ($redis): array {
    $state = [];
    foreach ($redis->keys('*') as $key) {
        $state[$key] = $redis->type($key) === Redis::REDIS_LIST
            ? ['type' => 'list', 'value' => $redis->lRange($key, 0, -1)]
            : ['type' => 'zset', 'value' => array_map(null, ...zset($redis, $key))];
    }
    return $state;
};

$rows = array_column(fixture('deviations.json')['deviations'], null, 'case');
$cases = fixture('redis-task.json')['cases'];
same('all are here', 18, count($cases));
foreach (json_decode(file_get_contents(project('fixtures/redis-task.json')))->cases as $at => $case) {
    $shift = early_in_a_second() - RECORDED_AT;
    redis_restore($redis, $cases[$at]['before'], $shift);
    $answer = $play($case, $case->args->queue ?? 'default_queue');
    $row = $rows["redis-task/$case->name"] ?? [];
    same("$case->name: the answer", ANSWERS[$case->name] ?? $cases[$at]['returns'], $answer);
    $after = $row['after'] ?? $cases[$at]['after'];
    same("$case->name: the keys", $shown($after), $shown($moved($dump(), $after, $shift)));
}
done();
?>
--EXPECT--
ok
