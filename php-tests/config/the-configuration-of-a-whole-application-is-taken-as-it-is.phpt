--TEST--
What is not Ferry's in the configuration of a whole application stops nothing, and is listed
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

$config = [
    'default' => 'main',
    'prefix' => 'app_',
    'connections' => [
        'main' => ['type' => 'memory', 'expire' => 60, 'prefix' => 'app_', 'options' => ['cluster' => 'redis'], 'table' => 'jobs'],
        'kafka' => ['type' => 'app\queue\Kafka', 'brokers' => 'k:9092'],
        'push' => ['type' => 'topthink', 'token' => 's3cr3t'],
        'none' => ['type' => 'null'],
        'text' => 'redis',
        'slip' => ['type' => 'redis', 'pasword' => 's3cr3t'],
        'laravel' => ['driver' => 'redis', 'connection' => 'default', 'after_commit' => false],
    ],
    'failed' => ['type' => 'none', 'keep_days' => 7],
];
Queue::configure($config);
Queue::push('Job1', 'data');
same('the job', 'Job1', Queue::pop()->getName());
foreach ([
    'kafka' => 'connector class of the application', 'push' => 'topthink', 'none' => '`null` is not a known type', 'text' => 'must be an array',
    'slip' => 'did you mean `password`', 'laravel' => "Laravel's config/queue.php: write `type` => 'redis'",
] as $name => $piece) {
    $said = thrown(fn () => Queue::connection($name));
    check("$name is a ConfigException", str_starts_with($said, 'Ferry\ConfigException: '), $said);
    holds($name, $piece, $said);
}
$notices = implode("\n", Queue::notices());
foreach (['`prefix`', '`main`: `expire`', '`main`: `options`', '`main`: `table`', '`keep_days`', '`kafka`', '`push`', '`none`', '`text`', '`slip`', '`laravel`'] as $piece) {
    holds('a notice', $piece, $notices);
}
check('no secret', !str_contains($notices, 's3cr3t'), $notices);

// The flat array of v1 and v2, with the keys of every connector side by side.
Queue::configure(['connector' => 'Sync', 'expire' => 60, 'default' => 'mail', 'table' => 'jobs', 'dsn' => [], 'token' => '', 'project_id' => '']);
same('flat', 'default', Queue::connection()->getName());
same('flat: notices', 4, count(Queue::notices()));

// The default connection may be one of the others: it is judged when it is used.
Queue::configure(['default' => 'kafka'] + $config);
holds('the default', 'connector class', thrown(fn () => Queue::push('Job1')));
same('another', 'main', Queue::connection('main')->getName());
Queue::configure('memory:');
same('a DSN has no notices', [], Queue::notices());
done();
?>
--EXPECT--
ok
