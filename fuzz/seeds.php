<?php
// Writes what fuzzing begins with: every payload of fixtures/ and a few configurations, one file each.
//   php fuzz/seeds.php DIRECTORY        makes DIRECTORY/attempts, payload, config, dsn, failed

// Everything in a fixture that reads as a JSON object, be it a body, a list entry or a record, wherever it stands.
function objects(mixed $value): iterable
{
    if (is_array($value)) {
        foreach ($value as $inner) {
            yield from objects($inner);
        }
    } elseif (is_string($value) && str_starts_with(ltrim($value), '{')) {
        yield $value;
    }
}

$payloads = [];
foreach (glob(__DIR__ . '/../fixtures/*.json') as $file) {
    foreach (objects(json_decode(file_get_contents($file), true, 512, JSON_THROW_ON_ERROR)) as $text) {
        // Ids differ in every recording and teach the fuzzer nothing.
        $payloads[preg_replace('/"id":"[A-Za-z]{32}"/', '"id":"ID"', $text)] = true;
    }
}

$dsns = [
    'redis://user:secret@cache:6380/3?queue=mail&retry_after=90&read_timeout=2&prefetch=1', 'rediss://cache?tls[verify]=0&tls[ca_file]=/ca',
    'redis+unix://:pw@/run/redis.sock?db=1', 'redis://[::1]:7', 'amqps://u:p@h:5671/vhost?arguments[x-max-length]=5&declare=passive',
    'mysql://u:p@h/d?table=t', 'pgsql://h/d?failed=discard', 'sqlite:/tmp/a.sqlite?busy_timeout=1.5', 'memory:', 'sync:?queue=q',
];

// As fuzz/src/reader.rs reads texts: a byte of length before each.
$texts = fn (string ...$texts) => implode('', array_map(fn ($text) => chr(strlen($text)) . $text, $texts));
$records = [];
foreach (array_slice(array_keys($payloads), 0, 50) as $payload) {
    $record = ['id' => 'x', 'connection' => 'redis', 'queue' => 'mail', 'payload' => $payload, 'reason' => 'exception',
        'exception' => "E: no\n#0 {main}", 'attempts' => 3, 'failed_at' => 1700000000];
    $records[] = json_encode($record);
    $records[] = json_encode(['payload_base64' => base64_encode($payload)] + array_diff_key($record, ['payload' => 1]));
}

$seeds = [
    'attempts' => array_keys($payloads),
    'payload' => array_keys($payloads),
    'failed' => [...$records, $texts('id', 'redis', 'mail', 'exception', 'E: no') . "\1" . pack('PP', 3, 1700000000) . '{"job":"J"}'],
    'dsn' => [...$dsns, $texts('redis', 'user', '/') . 'host:6379/1?queue=q', $texts('amqp', '', '@') . 'host', $texts('sqlite', '', '?') . '/a?b=c'],
    'config' => ["\1\2\1\x20\1\2", "\0\1\3\x20\1\2\x30\7\3\x31\x09\3abc", "\1\2\2\1\1a\1\1\3\x20\7\5"],
];
foreach ($seeds as $target => $inputs) {
    @mkdir("$argv[1]/$target", 0777, true);
    foreach ($inputs as $input) {
        file_put_contents("$argv[1]/$target/" . sha1($input), $input);
    }
    printf("%s: %d seeds\n", $target, count($inputs));
}
