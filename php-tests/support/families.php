<?php
// The recorded cases of think-queue v1 and v2, and what Ferry is expected to leave behind with `family => think1`.
//
// They have a file of their own because their job classes have the names of those in vectors.php and other properties. Where Ferry does
// otherwise on purpose, a row in fixtures/deviations.json says so, under the name of the case with its age in front: `v1:redis/delete`.

namespace {

    require_once __DIR__ . '/redis.php';

    const RECORDED_AT = 1700000000;

    /** @return iterable<string, array> the name in the table of deviations => the case; of both ages, from these drivers */
    function old_cases(string $driver, string ...$operations): iterable
    {
        foreach (['v1', 'v2'] as $age) {
            foreach (fixture("think-queue-$age.json")['cases'] as $case) {
                if ($case['driver'] === $driver && ($operations === [] || in_array($case['operation'], $operations, true))) {
                    yield "$age:{$case['name']}" => $case;
                }
            }
        }
    }

    /** What we do otherwise; empty where nothing differs. */
    function old_deviation(string $name): array
    {
        static $rows = null;
        $rows ??= array_column(fixture('deviations.json')['deviations'], null, 'case');
        return $rows[$name] ?? [];
    }

    /** Arguments as PHP values, also those that JSON cannot express. */
    function old_arguments(string $name, array $case): array
    {
        $by_hand = match (substr($name, 3)) {
            'redis/push-data-empty-object-becomes-array', 'mariadb/push-empty-object-kept' => ['data' => new stdClass()],
            'redis/push-data-numeric-key-object' => ['data' => (object) ['0' => 'a', '1' => 'b']],
            'redis/push-data-floats' => ['data' => [0.1, 1.0, -0.0, 0.1 + 0.2, 1e25, 1.5e-10, 1 / 3, 100.0]],
            'redis/push-invalid-utf8', 'mariadb/push-invalid-utf8' => ['data' => "\xc3\x28"],
            'redis/push-inf' => ['data' => INF],
            'redis/push-object-job' => ['job' => new app\job\SendMail('a@b.c')],
            'mariadb/push-object-job' => ['job' => new app\job\SendMail('a')],
            'redis/later-DateTime-throws', 'mariadb/later-DateTime-throws' => ['delay' => new DateTime('@' . (time() + 123))],
            default => [],
        };
        $arguments = $by_hand + $case['args'];
        unset($arguments['php'], $arguments['config']);
        return $arguments;
    }

    /** A state without its random ids, as text with its times apart. */
    function in_parts(array $state): array
    {
        $text = json_encode($state, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
        // Every generated id has 32 letters or digits; the ones that the recording's own states begin with do not change.
        $text = preg_replace('/"id\\\\":\\\\"(?!(?:ID){16})[0-9A-Za-z]{32}\\\\"/', '<id>', $text);
        preg_match_all('/\b1[6-9]\d{8}\b/', $text, $times);
        return [preg_replace('/\b1[6-9]\d{8}\b/', '<time>', $text), array_map('intval', $times[0])];
    }

    /** Compares two stores; times may differ by the two seconds that a call may take. */
    function same_state(string $name, array $expected, array $actual, int $shift): void
    {
        [$wanted, $when] = in_parts($expected);
        [$found, $then] = in_parts($actual);
        same("$name: the store", $wanted, $found);
        foreach ($when as $at => $time) {
            $far = abs($time + $shift - ($then[$at] ?? 0));
            check("$name: time number $at", $far <= 2, "$far s away");
        }
    }

    /** Makes a call; what it throws is compared with the recording, what it answers is returned. */
    function old_answer(string $name, mixed $returns, callable $call): mixed
    {
        $recorded = is_array($returns) ? $returns['$throws'] ?? null : null;
        $class = ($recorded['class'] ?? '') === 'InvalidArgumentException' ? InvalidArgumentException::class : null;
        try {
            $answer = $call();
        } catch (Throwable $e) {
            check("$name: throws as recorded", $class !== null && $e instanceof $class && str_contains($e->getMessage(), $recorded['message']), get_class($e) . ': ' . $e->getMessage());
            return null;
        }
        check("$name: should have thrown", $class === null);
        return $answer;
    }
}

// The job classes of the recordings. Their names and properties are part of the recorded bytes.

namespace app\job {

    class SendMail
    {
        public $to;
        public $tries = 5;
        public $timeout = 9;
        public $queue;
        public $delay;

        public function __construct($to)
        {
            $this->to = $to;
        }

        public function handle(): void
        {
            $GLOBALS['handler_calls'][] = ['handle', $this->to];
        }
    }

    class Job1
    {
        public function __construct(...$arguments)
        {
            $GLOBALS['constructor_arguments'] = count($arguments);
        }

        public function fire($job, $data)
        {
            $GLOBALS['handler_calls'][] = [$job->attempts(), $data];
            match (is_array($data) ? $data['act'] ?? '' : '') {
                'delete' => $job->delete(),
                'release' => $job->release($data['delay']),
                'throw' => throw new \RuntimeException('boom'),
                'error' => (fn (int $x) => 0)('x'),
                'delete_throw' => $job->delete() ?? throw new \RuntimeException('boom'),
                'release_throw' => $job->release(7) ?? throw new \RuntimeException('boom'),
                default => null,
            };
        }

        public function failed(...$arguments)
        {
            $GLOBALS['failed_calls'][] = $arguments;
        }
    }
}

namespace app\admin\job {

    class Job3
    {
        public function fire($job, $data)
        {
            $GLOBALS['handler_calls'][] = ['admin', $data];
            $job->delete();
        }
    }
}
