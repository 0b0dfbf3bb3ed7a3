--TEST--
The trace of an exception holds no password, for every method that takes a DSN or may be given one by mistake
--SKIPIF--
<?php if (PHP_VERSION_ID < 80200) die('skip SensitiveParameter is there since PHP 8.2'); ?>
--INI--
zend.exception_ignore_args=0
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$bad = 'amqp://u:s3cret@h:bad';
$calls = [
    'Connection' => fn () => new Ferry\Connection($bad),
    'configure' => fn () => Ferry\Queue::configure($bad),
    'configure an array' => fn () => Ferry\Queue::configure(['default' => 'b', 'connections' => ['a' => ['type' => 'redis', 'password' => 's3cret']]]),
    'connection' => fn () => Ferry\Queue::connection($bad),
    'Worker' => fn () => new Ferry\Worker(['connection' => $bad]),
    'Guard' => fn () => new Ferry\Guard($bad),
    'Status' => fn () => Ferry\Status::find('id', $bad),
    'TaskProducer' => fn () => new Ferry\Task\TaskProducer($bad),
    'TaskProducer with an array' => fn () => new Ferry\Task\TaskProducer(['type' => 'amqp', 'password' => 's3cret', 'port' => 'nope']),
    'TaskConsumer' => fn () => new Ferry\Task\TaskConsumer('amqp://u:s3cret@h', 1),
    'DeadLetters' => fn () => new Ferry\Task\DeadLetters($bad),
    'Schema' => fn () => Ferry\Task\Schema::declare('amqp://u:s3cret@127.0.0.1:1'),
];
foreach ($calls as $name => $call) {
    try {
        $call();
        check("$name throws", false);
    } catch (Throwable $e) {
        check($name, !str_contains($e . print_r($e->getTrace()[0], true), 's3cret'), (string) $e);
    }
}
done();
?>
--EXPECT--
ok
