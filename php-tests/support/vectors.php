<?php
// The recorded cases of think-queue v3: their PHP values, and what Ferry is expected to leave behind.
//
// A case says what was called with what, the store before and after, and the answer. Its clock stood still at RECORDED_AT; ours
// runs, so times are compared by their distance from now. Where Ferry does otherwise on purpose, a row in
// fixtures/deviations.json or in deviations.json beside this file says what it does and why.

namespace {

    require_once __DIR__ . '/boot.php';

    const RECORDED_AT = 1700000000;

    /** @return list<array> the cases whose name begins so and whose operation is one of these */
    function cases(string $prefix, string ...$operations): array
    {
        $all = fixture('think-queue-v3.json')['cases'];
        return array_values(array_filter($all, fn ($case) => str_starts_with($case['name'], $prefix)
            && ($operations === [] || in_array($case['operation'], $operations, true))));
    }

    /** What we do otherwise in a case; empty where nothing differs. Rows of both files about one case are one row. */
    function deviation(string $case): array
    {
        static $rows = null;
        if ($rows === null) {
            $rows = [];
            foreach ([project('fixtures/deviations.json'), __DIR__ . '/deviations.json'] as $file) {
                foreach (is_file($file) ? json_decode(file_get_contents($file), true)['deviations'] : [] as $row) {
                    $rows[$row['case']] = $row + ($rows[$row['case']] ?? []);
                }
            }
        }
        return $rows[$case] ?? [];
    }

    /** Values that JSON cannot express, written by hand from the `php` field of their cases: argument name => value. */
    function php_values(string $case): array
    {
        $nested = function (int $levels) {
            $value = [];
            for ($level = 1; $level < $levels; $level++) {
                $value = [$value];
            }
            return $value;
        };
        return match ($case) {
            'redis/push-data-empty-object' => ['data' => new stdClass()],
            'redis/push-data-empties-inside' => ['data' => ['arr' => [], 'obj' => new stdClass()]],
            'redis/push-data-floats' => ['data' => [0.1, 1.0, -0.0, 0.1 + 0.2, 1e25, 1.5e-10, 1e15, 1e16, 123456789012345678.0, 1 / 3, 100.0,
                3.0e-5, 5e-324, PHP_FLOAT_MAX]],
            'redis/push-data-jsonserializable' => ['data' => new class implements JsonSerializable {
                public function jsonSerialize(): mixed
                {
                    return ['z' => 1];
                }
            }],
            'redis/push-data-plain-object-public-only' => ['data' => new class {
                public $a = 1;
                protected $b = 2;
                private $c = 3;
            }],
            'redis/push-data-datetime' => ['data' => new DateTime('2023-11-14 22:13:20 UTC')],
            'redis/push-invalid-utf8', 'sqlite/push-invalid-utf8', 'mariadb/push-invalid-utf8' => ['data' => "\xc3\x28"],
            'redis/push-inf' => ['data' => INF],
            'redis/push-too-deep' => ['data' => $nested(601)],
            'redis/push-depth-512-total-ok' => ['data' => $nested(511)],
            'redis/push-depth-513-total-fails' => ['data' => $nested(512)],
            'redis/push-object-job-ignores-data-and-own-queue-delay' => [
                'job' => (new app\job\SendMail('a@b.c'))->onQueue('mail')->delay(60)->onConnection('zzz')],
            'redis/push-object-job-retryUntil' => ['job' => new app\job\Until()],
            'redis/bulk-object-jobs' => ['jobs' => [new app\job\SendMail('x')]],
            'redis/later-object-job' => ['job' => new app\job\SendMail('a')],
            'sqlite/push-object-job' => ['job' => new app\job\Tuned()],
            'redis/later-DateTime' => ['delay' => new DateTime('@1700000123')],
            'redis/later-DateInterval' => ['delay' => new DateInterval('PT1H30M')],
            default => [],
        };
    }

    /** The named arguments of a case, for a call like `Queue::push(...arguments($case))`. */
    function arguments(array $case): array
    {
        $arguments = php_values($case['name']) + $case['args'];
        unset($arguments['php'], $arguments['config']);
        return $arguments;
    }

    /** A payload with its random id blotted out, so that two can be compared. */
    function blotted(mixed $value): mixed
    {
        if (is_array($value)) {
            return array_map('blotted', $value);
        }
        return is_string($value) ? preg_replace('/"id":"[A-Za-z]{32}","attempts"/', '"id":"<id>","attempts"', $value) : $value;
    }

    /** All ids in a store. */
    function ids_in(array $state): array
    {
        preg_match_all('/\\\\"id\\\\":\\\\"([A-Za-z]{32})\\\\",/', json_encode($state, JSON_UNESCAPED_UNICODE), $found);
        return $found[1];
    }

    /** Compares two stores; times may differ by the two seconds that a call may take. */
    function same_store(string $case, array $expected, array $actual, int $shift): void
    {
        array_walk_recursive($expected, fn (&$value) => $value = moved($value, $shift));
        $near = fn ($a, $b) => is_time($a) && is_time($b) && abs($a - $b) <= 2;
        $differs = differs(blotted($expected), blotted($actual), $near);
        check("$case: the store is as expected", !$differs, $differs
            ? "\n  expected: " . json_encode($expected, JSON_UNESCAPED_SLASHES) . "\n  found:    " . json_encode($actual, JSON_UNESCAPED_SLASHES) : '');
    }

    function is_time(mixed $value): bool
    {
        return is_numeric($value) && $value > 1.6e9;
    }

    /** A recorded time, moved to our days; `1700000123` was given by the test itself and is not. */
    function moved(mixed $value, int $shift): mixed
    {
        return is_time($value) && (int) $value !== RECORDED_AT + 123 ? $value + $shift : $value;
    }

    function differs(mixed $a, mixed $b, callable $near): bool
    {
        if (is_array($a) && is_array($b)) {
            if (count($a) !== count($b)) {
                return true;
            }
            foreach ($a as $key => $value) {
                if (!array_key_exists($key, $b) || differs($value, $b[$key], $near)) {
                    return true;
                }
            }
            return false;
        }
        return (string) json_encode($a) !== (string) json_encode($b) && !$near($a, $b);
    }

    /** The exception classes of the error kinds that fixtures/deviations.json names. */
    const CLASS_OF_KIND = [
        'Uncertain' => Ferry\UncertainException::class,
        'Connection' => Ferry\ConnectionException::class,
        'Refused' => Ferry\BrokerException::class,
        'Lost' => Ferry\LostReservation::class,
    ];

    /** What a case answers, ours where it differs: a value, or `['$throws' => ['class' => .., 'message' => ..]]`. */
    function expected_answer(array $case): mixed
    {
        $row = deviation($case['name']);
        $answer = $row['answer'] ?? [];
        return match (true) {
            array_key_exists('php', $row) => $row['php'],
            isset($answer['error']) => ['$throws' => ['class' => CLASS_OF_KIND[$answer['error']]]],
            ($answer['settled'] ?? null) === ['Lost'] => ['$throws' => ['class' => Ferry\LostReservation::class]],
            ($answer['settled'] ?? null) === ['Applied'] => null,
            isset($answer['reserved']) => ['getRawBody' => $answer['reserved']['body'], 'attempts' => $answer['reserved']['attempts'] ?? 1],
            default => $case['returns'],
        };
    }

    /** Makes the call of a case and compares what it throws. Its answer is returned for the caller to compare. */
    function answer_of(array $case, callable $call): mixed
    {
        $expected = expected_answer($case);
        $recorded = is_array($expected) ? $expected['$throws'] ?? null : null;
        try {
            $answer = $call();
        } catch (Throwable $e) {
            $as_expected = $recorded !== null && is_a($e, $recorded['class']) && str_contains($e->getMessage(), $recorded['message'] ?? '');
            check("{$case['name']}: throws as expected", $as_expected, get_class($e) . ': ' . $e->getMessage());
            return null;
        }
        check("{$case['name']}: should have thrown " . ($recorded['class'] ?? ''), $recorded === null);
        return $answer;
    }

    /** Whether a case ends in an exception. */
    function throws(array $case): bool
    {
        $expected = expected_answer($case);
        return is_array($expected) && isset($expected['$throws']);
    }

    /** What a popped job says of itself, in the words of the recording. */
    function popped_as_recorded(string $name, array $returns, ?Ferry\Job $job, string $connection, string $default): void
    {
        check("$name: there is a job", $job !== null);
        if ($job === null) {
            return;
        }
        // The class is ours, and the reserved bytes are compared in the store. Ours knows the queue it came from, also when the
        // caller named none or a falsy one; think-queue repeats what the caller said.
        unset($returns['$class'], $returns['getReservedJob']);
        $returns['getConnection'] = $connection;
        $returns['getQueue'] = ($returns['getQueue'] ?? null) ?: $default;
        foreach ($returns as $method => $value) {
            same("$name: $method()", $value, $job->$method());
        }
    }
}

// The job classes of the recordings. Their names and properties are part of the recorded bytes.

namespace app\job {

    trait Queueable
    {
        public $connection;
        public $queue;
        public $delay;

        public function onConnection($connection)
        {
            $this->connection = $connection;
            return $this;
        }

        public function onQueue($queue)
        {
            $this->queue = $queue;
            return $this;
        }

        public function delay($delay)
        {
            $this->delay = $delay;
            return $this;
        }
    }

    final class SendMail
    {
        public $to;

        use Queueable;

        public function __construct($to)
        {
            $this->to = $to;
        }

        public function handle(): void
        {
            $GLOBALS['handler_calls'][] = ['handle', $this->to];
        }
    }

    final class Until
    {
        public $delay;

        public function retryUntil()
        {
            return new \DateTimeImmutable('@1700007200');
        }

        public function handle(): void
        {
            throw new \RuntimeException('x');
        }
    }

    final class Tuned
    {
        public $tries = 5;
        public $timeout = 30;
        public $timeoutAt = 1700003600;
        private $secret = 's';
        protected $prot = ['k' => 1.5];
        public $name = '张三/😀';
    }
}
