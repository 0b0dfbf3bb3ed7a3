--TEST--
Dead letters are listed, shown, requeued by id, type or all, and purged; the printed policy keeps those that would vanish
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{DeadLetters, Schema, TaskMessage, TaskProducer, TaskResult};
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$node = RabbitNode::start();
$dsn = $node->dsn();
$dead = new DeadLetters($dsn);
Schema::declare($dsn);
same('nothing yet', [[], null, 0, 0], [$dead->list(), $dead->show('x'), $dead->requeue('all'), $dead->purge()]);

// Six: failed ones of two types, one that the broker expired, one that the original left twice, one that is no task.
$producer = new TaskProducer($dsn);
$mail = [new TaskMessage('mail', ['n' => 1], 9, 1), new TaskMessage('mail', ['n' => 2], 2, 1)];
$image = new TaskMessage('image', ['n' => 3], 5, 1);
$producer->publishBatch([...$mail, $image]);
$failing = consumer($dsn, fn () => TaskResult::failure('down'), ['log' => false]);
$failing->consumeAll();
$expired = new TaskMessage('late', ['n' => 4], 5, 3, 1);
$producer->publish($expired);
wait_until(fn () => $node->ready('task.dlq') === 4, 'the broker moved the late one');
$channel = $node->amqplib();
$twice = task_fields(['task_id' => 'twice', 'task_type' => 'old']);
$channel->basic_publish(new AMQPMessage(json_encode($twice), ['message_id' => 'twice']), 'task.dlx', 'task.failed');
$channel->basic_publish(new AMQPMessage(json_encode(['original_task' => ['current_retry' => 3] + $twice, 'error' => ['message' => 'old', 'trace' => '#0', 'failed_at' => '2026-01-01 00:00:00']])), 'task.dlx', 'task.failed');
$channel->basic_publish(new AMQPMessage('not json', ['message_id' => 'bad', 'application_headers' => new AMQPTable(['x-ferry-reason' => 'poison', 'x-ferry-error' => 'no task'])]), 'task.dlx', 'task.failed');
wait_until(fn () => $node->ready('task.dlq') === 7, 'all are there');

$list = $dead->list();
same('as they lie', [$mail[0]->taskId, $image->taskId, $mail[1]->taskId, $expired->taskId, 'twice', 'twice', 'bad'], array_column($list, 'id'));
same('reasons', ['failed', 'failed', 'failed', 'expired', 'failed', 'failed', 'poison'], array_column($list, 'reason'));
same('a page', 2, count($dead->list(2)));
same('looking takes nothing', 7, $node->ready('task.dlq'));
$shown = $dead->show($image->taskId);
same('shown', ['image', 'down', ['n' => 3], 1, 1], [$shown['type'], $shown['message'], $shown['payload'], $shown['current_retry'], $shown['max_retries']]);
same('no task', ['bad', null, 'no task', null, 'not json'], array_map(fn ($key) => $dead->show('bad')[$key], ['id', 'type', 'message', 'payload', 'body']));
same('unknown', null, $dead->show('nope'));

// Requeued: by id, by type, all; nothing failed any more, and what had expired lives again.
$ran = [];
$working = consumer($dsn, function (TaskMessage $task) use (&$ran) {
    $ran[$task->payload['n'] ?? $task->taskId] = [$task->currentRetry, $task->isExpired()];
    return TaskResult::success();
}, ['log' => false]);
same('nothing of that name', 0, $dead->requeue('nope'));
same('by id', 1, $dead->requeue($image->taskId));
$working->consumeAll();
same('it ran', [3 => [0, false]], $ran);
same('by type', 2, $dead->requeue('mail'));
same('all: one task of two letters', 2, $dead->requeue('all'));
$working->consumeAll();
ksort($ran, SORT_STRING);
same('each ran once, from the beginning', [1 => [0, false], 2 => [0, false], 3 => [0, false], 4 => [0, false], 'twice' => [0, false]], $ran);
same('what is no task stays', ['bad'], array_column($dead->list(), 'id'));
same('purged', 1, $dead->purge());
same('empty', [], $dead->list());

// A ttl of a policy does not raise that of the declaration: of the two the smaller counts.
$table = new AMQPTable();
$table->set('x-message-ttl', 300, AMQPTable::T_INT_LONG);
$channel->queue_declare('short', false, true, false, false, false, $table);
$node->ctl('set_policy', '--apply-to', 'queues', 'short', '^short$', '{"message-ttl":600000}');
$channel->basic_publish(new AMQPMessage('x'), '', 'short');
wait_until(fn () => $node->ready('short') === 0, 'the argument counts', 5);

// What Schema prints does keep them. Here the policy also has a short ttl, so that nobody waits ten minutes.
[$command] = Schema::policies();
check('the command', preg_match("/^rabbitmqctl set_policy --vhost '(.+)' --apply-to queues (\S+) '(.+)' '(\{.+\})'$/D", $command, $words) === 1, $command);
$policy = json_encode(['message-ttl' => 300] + json_decode($words[4], true));
$node->ctl('set_policy', '--vhost', $words[1], '--apply-to', 'queues', $words[2], $words[3], $policy);
$producer->publish($mail[0]);
$failing->consumeAll();
wait_until(fn () => $node->ready('task.dlq.kept') === 1, 'the letter moved');
$kept = new DeadLetters($dsn, 'task.dlq.kept');
same('kept', [[$mail[0]->taskId, 'down']], array_map(fn ($letter) => [$letter['id'], $letter['message']], $kept->list()));
same('requeued from there', 1, $kept->requeue('all'));

// On a broker where somebody corrected the ttl, the declaration is refused with what to do; passively it works.
$channel->queue_delete('task.dlq');
$table = new AMQPTable();
$table->set('x-message-ttl', 604800000, AMQPTable::T_INT_LONG);
$channel->queue_declare('task.dlq', false, true, false, false, false, $table);
// Declared once per connection, so it takes a process that has none.
$publish = fn (string $dsn) => Child::php('echo (function () { try { return var_export((new Ferry\Task\TaskProducer(' . var_export($dsn, true) . '))->publish(new Ferry\Task\TaskMessage("t", [])), true); } catch (Throwable $e) { return get_class($e) . ": " . $e->getMessage(); } })();');
$child = $publish($dsn);
$child->wait();
check('refused', str_contains($child->out(), 'Ferry\ConfigException') && str_contains($child->out(), "inequivalent arg 'x-message-ttl'") && str_contains($child->out(), "'passive'"), $child->out());
$child = $publish($node->dsn('declare=passive'));
$child->wait();
same('passively', 'true', $child->out());
done();
?>
--EXPECT--
ok
