--TEST--
A bulk or a batch that needs more than memory_limit leaves is refused, and nothing is sent
--INI--
memory_limit=32M
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

class Large
{
    public function __construct(public string $data) {}
}
Ferry\Queue::configure('memory:');
$text = str_repeat('x', 100_000);
$jobs = array_map(fn () => new Large($text), range(1, 1000));
$refused = 'need more than PHP\'s memory_limit of 32 MiB leaves; send them in parts. None was sent';
holds('objects', "Ferry\InvalidArgumentException: these jobs $refused", thrown(fn () => Ferry\Queue::bulk($jobs)));
holds('shared data', "these jobs $refused", thrown(fn () => Ferry\Queue::bulk(array_fill(0, 1000, 'Job'), $text)));
$task = new Ferry\Task\TaskMessage('large', ['data' => $text]);
holds('tasks', "these tasks $refused", thrown(fn () => (new Ferry\Task\TaskProducer('amqp://127.0.0.1:1'))->publishBatch(array_fill(0, 1000, $task))));
same('nothing was sent', 0, Ferry\Queue::size());

foreach (array_chunk($jobs, 50) as $part) {
    Ferry\Queue::bulk(array_slice($part, 0, 10));
}
same('parts go', 200, Ferry\Queue::size());
ini_set('memory_limit', '-1');
Ferry\Queue::bulk($jobs);
same('without a limit all go', 1200, Ferry\Queue::size());
done();
?>
--EXPECT--
ok
