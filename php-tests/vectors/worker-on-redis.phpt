--TEST--
Every recorded job of a worker ends with the same events, the same handler calls and the same store
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php

namespace app\job {

    /** The handler of the recordings: its data say what it does. */
    class Job1
    {
        public function fire($job, $data)
        {
            $GLOBALS['handler_calls'][] = [$job->attempts(), $data];
            match ($data['act']) {
                'delete' => $job->delete(),
                'throw' => throw new \RuntimeException('boom'),
                'error' => (fn (int $x) => 0)('x'),
                'delete_throw' => $job->delete() ?? throw new \RuntimeException('boom'),
                'release_throw' => $job->release(7) ?? throw new \RuntimeException('boom'),
            };
        }

        public function task1($job, $data)
        {
            $GLOBALS['handler_calls'][] = ['task1', $job->attempts(), $data];
            $job->delete();
        }

        public function failed($data, $e)
        {
            $GLOBALS['failed_calls'][] = [$data, $e->getMessage()];
            if (isset($data['failed'])) {
                throw new \LogicException('failed() itself');
            }
        }
    }
}

namespace {

    require __DIR__ . '/../support/redis.php';
    require __DIR__ . '/../support/vectors.php';

    use Ferry\Queue;
    use Ferry\Worker;

    const OUR_NAMES = ['JobProcessing' => 'processing', 'JobProcessed' => 'processed', 'JobFailed' => 'failed', 'JobExceptionOccurred' => 'exception'];

    $server = RedisServer::start();
    $redis = $server->client();
    Queue::configure(['default' => 'redis', 'connections' => ['redis' => $server->config()]]);

    /** Times inside payloads move with the clock too. */
    function move_deadlines(array $state, int $shift): array
    {
        array_walk_recursive($state, function (&$value) use ($shift) {
            if (is_string($value)) {
                $value = preg_replace_callback('/"timeoutAt":(\d+)/', fn ($found) => '"timeoutAt":' . ($found[1] + $shift), $value);
            }
        });
        return $state;
    }

    $cases = cases('worker/');
    foreach ($cases as $case) {
        $name = $case['name'];
        $row = deviation($name);
        $shift = early_in_a_second() - RECORDED_AT;
        redis_restore($redis, move_deadlines($case['before'], $shift), $shift);
        $GLOBALS['handler_calls'] = $GLOBALS['failed_calls'] = $seen = $messages = [];
        $worker = new Worker(['queue' => $case['args']['queue'], 'tries' => $case['args']['tries'], 'delay' => $case['args']['delay'],
            'once' => true, 'sleep' => 0, 'namespace' => 'app', 'log' => 'none']);
        foreach (OUR_NAMES as $event) {
            $worker->on($event, function ($job, $e = null) use (&$seen, &$messages, $event) {
                $seen[] = $event;
                $messages[] = $e?->getMessage();
            });
        }
        same("$name: exit code", 0, $worker->run());

        $expected = array_map(fn ($event) => OUR_NAMES[$event['event']], $case['events']);
        same("$name: events", implode(' ', $row['events'] ?? $expected), implode(' ', $seen));
        same("$name: handler calls", $case['handler_calls'], $GLOBALS['handler_calls']);
        same("$name: calls of failed()", $row['failed_calls'] ?? count($case['handler_failed_calls']), count($GLOBALS['failed_calls']));
        foreach ($case['events'] as $at => $event) {
            // Class names of think-queue's own exceptions, paths and lines are not ours.
            $message = preg_replace('/^[\w\\\\]+: /', '', $event['exception'] ?? '');
            if (!isset($row['events']) && str_contains($message, 'boom') || str_contains($message, 'attempted')) {
                same("$name: message of {$seen[$at]}", $message, $messages[$at]);
            }
        }
        $failed = Queue::connection()->failed(explode(',', $case['args']['queue'])[0]);
        same("$name: failed jobs", $row['failed'] ?? count($case['failed_jobs']), count($failed));
        foreach ($case['failed_jobs'] as $at => $record) {
            if (isset($failed[$at])) {
                same("$name: the payload as popped is kept", move_deadlines([$record['payload']], $shift)[0], $failed[$at]['payload']);
                same("$name: the connection is kept", 'redis', $failed[$at]['connection']);
                if (str_starts_with($record['exception_first_line'], 'RuntimeException')) {
                    holds("$name: the exception is kept", strstr($record['exception_first_line'], ' in ', true), $failed[$at]['exception']);
                }
            }
        }
        same_store($name, move_deadlines($row['after'] ?? $case['after'], $shift), redis_state($redis), $shift);
    }
    check('the file holds the cases', count($cases) >= 25, count($cases));
    done();
}
?>
--EXPECTF--
[%s] ferry: failed() of Job1 threw: LogicException: failed() itself in %s:%d
    Stack trace:
    #0 [internal function]: app\job\Job1->failed(Array, Object(RuntimeException))
    #1 %s: Ferry\Worker->run()
    #2 {main}
ok
