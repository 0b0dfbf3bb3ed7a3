--TEST--
Values that PHP code frees while they are read are held: __clone in bulk(), __toString of a task's property, a queue's name and an id
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

// Freed memory is overwritten at once, so that reading it does not go unnoticed.
$env = ['USE_ZEND_ALLOC' => '0', 'MALLOC_PERTURB_' => '165'];

$begin = <<<'PHP'
Ferry\Queue::configure(['connections' => ['m' => ['type' => 'memory']]]);
function spray() { $GLOBALS['spray'] = array_map(fn ($i) => str_repeat(chr(65 + $i % 26), 24 + $i % 40 * 8), range(1, 200)); }
class Text
{
    public function __construct(private string $name) {}
    public function __toString(): string { $GLOBALS['value'] = null; spray(); return $this->name; }
}
PHP;

$cases = [
    'bulk' => <<<'PHP'
class Mail { public $tries = 3; public $timeout = 7; public function __clone() { $GLOBALS['value'] = null; spray(); } }
$value = new Mail;
$list = [&$value, 'Other'];
Ferry\Queue::bulk($list);
foreach (Ferry\Queue::connection()->peek() as $payload) {
    $payload = json_decode($payload, true);
    echo $payload['data']['commandName'] ?? $payload['job'], ' ', json_encode([$payload['maxTries'], $payload['timeout']]), "\n";
}
PHP,
    'publishBatch' => <<<'PHP'
$value = new Ferry\Task\TaskMessage('mail', ['to' => 1]);
$value->taskId = new Text('first');
$list = [&$value];
echo thrown(fn () => (new Ferry\Task\TaskProducer('amqp://127.0.0.1:1'))->publishBatch($list));
PHP,
    'queues' => <<<'PHP'
$value = [new Text('high'), ...array_map(fn ($i) => "queue $i " . str_repeat('x', 20), range(1, 30))];
$options = ['queues' => &$value];
new Ferry\Task\TaskConsumer('amqp://127.0.0.1:1', new Ferry\Task\TaskHandlerRegistry, $options);
echo 'read';
PHP,
    'ids' => <<<'PHP'
$value = [new Text('1'), ...array_map('strval', range(2, 50))];
$list = [&$value];
echo Ferry\Queue::retryFailed($value), ' ', json_encode(thrown(fn () => Ferry\Queue::forgetFailed($list)));
PHP,
    'types' => <<<'PHP'
$registry = new Ferry\Task\TaskHandlerRegistry;
$registry->register(new class implements Ferry\Task\TaskHandlerInterface {
    public function getSupportedTypes() { $GLOBALS['value'] = new Text('b'); $list = ['a', &$GLOBALS['value'], 'c']; return $list; }
    public function handle(Ferry\Task\TaskMessage $task): Ferry\Task\TaskResult {}
    public function supports(string $taskType): bool { return false; }
});
echo json_encode(array_map([$registry, 'has'], ['a', 'b', 'c', 'd']));
PHP,
];
$expected = [
    'bulk' => "Mail [3,7]\nOther [null,null]\n",
    'publishBatch' => 'Ferry\ConnectionException: publish 1 tasks',
    'queues' => 'read',
    'ids' => '0 "Ferry\\\\InvalidArgumentException: failed jobs are named by',
    'types' => '[true,true,true,false]',
];
foreach ($cases as $name => $code) {
    $child = Child::php("$begin\n$code", [], $env);
    same("$name: ends well", 0, $child->wait());
    check("$name: says", str_contains($child->out(), $expected[$name]) || str_contains($child->out(), strtr($expected[$name], ['1 tasks' => 'task first'])), $child->out() . $child->err());
}
done();
?>
--EXPECT--
ok
