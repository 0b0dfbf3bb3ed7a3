--TEST--
dead lists, shows, requeues and purges tasks that failed for good; schema amqp prints what they need
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{Schema, TaskMessage, TaskProducer, TaskResult};

$node = RabbitNode::shared();
$ferry = Ferry::on($node->config());
Schema::declare($node->dsn());
same('none', "No dead tasks.\n", $ferry->run(['dead'])->well('dead')->out);

$producer = new TaskProducer($node->dsn());
$mail = new TaskMessage('mail', ['n' => 1], 9, 1);
$producer->publishBatch([$mail, new TaskMessage('image', ['n' => 2], 5, 1)]);
$failing = consumer($node->dsn(), fn () => TaskResult::failure('down'), ['log' => false]);
consume_until($failing, fn () => $node->ready('task.dlq') === 2);
$id = $mail->toArray()['task_id'];

$table = $ferry->run(['dead'])->well('dead')->out;
check('listed', str_contains($table, $id) && str_contains($table, 'image') && str_contains($table, 'down'), $table);
same('as JSON', ['image', 'mail'], (function (array $types) { sort($types); return $types; })(array_column($ferry->run(['dead', '--json'])->json(), 'type')));
holds('shown', '"n":1', $ferry->run(['dead', 'show', $id])->well('show')->out);
$ferry->run(['dead', 'show', 'nobody'])->refused('nobody', 1, 'there is no dead task nobody');
$ferry->run(['dead', 'nonsense'])->refused('nonsense', 2, 'dead requeue ID|TYPE|all');
$ferry->run(['dead', 'requeue', 'nobody'])->refused('requeue nobody', 1, 'there is no dead task with the id or type nobody');
same('requeued', "1 task published again.\n", $ferry->run(['dead', 'requeue', 'mail'])->well('requeue')->out);
wait_until(fn () => $node->ready('task.high') === 1, 'it lies in its queue again');

// By reason and age, and one by one.
same('none of that reason', "No dead tasks.\n", $ferry->run(['dead', '--reason=expired'])->well('expired')->out);
same('none so old', "0 tasks published again.\n", $ferry->run(['dead', 'requeue', '--reason=failed', '--before=-1 hour'])->well('old')->out);
$ferry->run(['dead', 'requeue', '--ask', '-n'])->refused('nobody to ask', 1, 'nobody can be asked here');
$ferry->run(['dead', 'requeue'])->refused('which?', 2, 'dead requeue ID|TYPE|all');
$ferry->run(['dead', 'requeue', 'all', '--reason=failed'])->refused('two ways', 2, 'or conditions, or --ask');
$ferry->run(['dead', 'purge', '--reason=failed', '--force'])->refused('a condition that would be ignored', 2, 'takes no conditions');
$ferry->run(['dead', 'show', $id, '--ask'])->refused('nothing to ask', 2, '--ask belongs to');
same('no', "0 tasks published again.\n", $ferry->run(['dead', 'requeue', '--ask'], "n\n")->out);
$asked = $ferry->run(['dead', 'requeue', '--ask', '--type=image'], "y\n");
check('asked', str_contains($asked->err, 'image') && str_contains($asked->err, 'down') && str_contains($asked->err, '"n":2'), $asked->err);
same('yes', "1 task published again.\n", $asked->out);
consume_until(consumer($node->dsn(), fn () => TaskResult::failure('down'), ['log' => false, 'queues' => ['task.normal']]), fn () => $node->ready('task.dlq') === 1);
$ferry->run(['dead', 'purge', '-n'])->refused('purge without an answer', 1, 'use --force');
same('purged', "1 task removed.\n", $ferry->run(['dead', 'purge', '--force'])->well('purge')->out);
same('all of none', "0 tasks published again.\n", $ferry->run(['dead', 'requeue', 'all'])->well('all of none')->out);
same('gone', [], $ferry->run(['dead', '--json'])->json());

$printed = $ferry->run(['schema', 'amqp', '--vhost=app'])->well('schema')->out;
check('declarations are comments, policies are commands', str_contains($printed, '# ') && preg_match('/^rabbitmqctl .*app/m', $printed), $printed);
same('as JSON', ['declarations', 'policies'], array_keys($ferry->run(['schema', 'amqp', '--json'])->json()));
$ferry->run(['schema', 'nonsense'])->refused('no such schema', 2, 'schema amqp');
done();
--EXPECT--
ok
