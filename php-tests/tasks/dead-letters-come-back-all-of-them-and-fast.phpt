--TEST--
20,000 dead letters come back at thousands a second, each once; one whose lifetime cannot be told or whose queue is full stops no other; reason and age select
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('rabbitmq', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{DeadLetters, Schema};
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$node = RabbitNode::shared();
$dsn = $node->dsn();
Schema::declare($dsn);
$dead = new DeadLetters($dsn);
$channel = $node->amqplib();
$letter = function (array $task, ?string $failed_at = '2026-01-01 00:00:00', array $headers = []) use ($channel): void {
    $body = $failed_at === null ? $task : ['original_task' => $task, 'error' => ['message' => 'down', 'trace' => '', 'failed_at' => $failed_at]];
    $channel->batch_basic_publish(new AMQPMessage(json_encode($body), $headers === [] ? [] : ['application_headers' => new AMQPTable($headers)]), 'task.dlx', 'task.failed');
};
$sent = function (int $count) use ($channel, $node): void {
    $channel->publish_batch();
    wait_until(fn () => $node->ready('task.dlq') === $count, "$count letters are there");
};

// Many of three types; the first id, the last one, and one that nobody has.
const MANY = 20_000;
$ids = [];
for ($at = 0; $at < MANY; $at++) {
    $task = task_fields(['task_type' => 't' . $at % 3, 'current_retry' => 3]);
    $ids[] = $task['task_id'];
    $letter($task);
    $at % 1000 === 999 && $channel->publish_batch();
}
$sent(MANY);
$timed = function (callable $work): array {
    $start = hrtime(true);
    return [$work(), (hrtime(true) - $start) / 1e9];
};
[$first, $seconds] = $timed(fn () => $dead->show($ids[0]));
same('the first is shown', $ids[0], $first['id']);
check('without a walk', $seconds < 0.5, (string) $seconds);
$report = sprintf('first shown in %.3f s', $seconds);
[$last, $seconds] = $timed(fn () => $dead->show($ids[MANY - 1]));
same('the last is shown', $ids[MANY - 1], $last['id']);
$report .= sprintf(', last in %.2f s', $seconds);

[$count, $seconds] = $timed(fn () => $dead->requeue('t1'));
$report .= sprintf(', %d of %d in %.2f s', $count, MANY, $seconds);
same('all of one type', intdiv(MANY, 3) + 1, $count);
[$count, $seconds] = $timed(fn () => $dead->requeue('all'));
$report .= sprintf(', %d in %.2f s (%d/s)', $count, $seconds, $count / $seconds);
same('all others', MANY - intdiv(MANY, 3) - 1, $count);
check('no letter waits for an answer of its own', $seconds < $count / 1000, $report);
getenv('FERRY_REPORT') && fwrite(STDERR, "$report\n");
$back = array_map(fn ($message) => json_decode($message[0], true), $node->take('task.normal'));
same('each came back once, as new', [MANY, 0], [count(array_unique(array_column($back, 'task_id'))), array_sum(array_column($back, 'current_retry'))]);
same('exactly those', [], array_diff($ids, array_column($back, 'task_id')));
$sent(0);

// Numbers that cannot be a lifetime, and a lifetime that RabbitMQ cannot carry, stop nobody.
$letter(task_fields(['task_type' => 'odd', 'created_at' => 0, 'expire_at' => time() - 5]));
$letter(task_fields(['task_type' => 'odd', 'expire_at' => time() + 5_000_000]));
$letter(task_fields(['task_type' => 'good']));
$sent(3);
same('all three', 3, $dead->requeue('all'));
$back = array_map(fn ($message) => [json_decode($message[0], true), $message[1]['expiration'] ?? null], $node->take('task.normal'));
check('the default lifetime', abs($back[0][0]['expire_at'] - time() - 86400) < 60, json_encode($back[0]));
same('as long as its queue allows', null, $back[1][1]);

// A full queue refuses; tasks of the others come back, and the error says who did not.
$node->ctl('set_policy', '--vhost', $node->vhost, '--apply-to', 'queues', 'full', '^task\.high$', '{"max-length":1,"overflow":"reject-publish"}');
$high = array_map(fn () => task_fields(['priority' => 9]), [1, 2, 3]);
array_map($letter, $high);
$low = task_fields(['priority' => 1]);
$letter($low);
$sent(4);
wait_until(fn () => str_contains($node->ctl('list_queues', '--vhost', $node->vhost, 'name', 'policy'), 'full'), 'the policy applies');
$error = thrown(fn () => $dead->requeue('all'));
check('refused', preg_match('/^Ferry.BrokerException.*(\d) tasks were published again, (\d) were refused and stay: task_/', $error, $counts) === 1, $error);
same('none is lost', [4, $node->ready('task.dlq')], [$counts[1] + $counts[2], (int) $counts[2]]);
same('the one behind them', 1, $node->ready('task.low'));
$node->ctl('clear_policy', '--vhost', $node->vhost, 'full');
wait_until(fn () => !str_contains($node->ctl('list_queues', '--vhost', $node->vhost, 'name', 'policy'), 'full'), 'the policy is gone');
same('the rest', (int) $counts[2], $dead->requeue('all'));
same('each once', 3, count(array_unique(array_column(array_map(fn ($message) => json_decode($message[0], true), $node->take('task.high')), 'task_id'))));

// By reason, age and several ids. What an old consumer rejected has the time and the reason of the broker.
$rejected = task_fields(['task_type' => 'mail', 'priority' => 9]);
original_publish($channel, $rejected);
wait_until(fn () => $node->ready('task.high') === 1, 'it lies there');
$channel->basic_reject($channel->basic_get('task.high')->getDeliveryTag(), false);
// The broker moves it on its own: a letter that is published meanwhile may come first.
wait_until(fn () => $node->ready('task.dlq') === 1, 'the rejected one is there');
$old = task_fields(['task_type' => 'mail']);
$letter($old, '2026-01-01 00:00:00');
$late = task_fields(['task_type' => 'image']);
$letter($late, date('Y-m-d H:i:s', time() + 3600));
$sent(3);
$found = fn (array $conditions) => array_column($dead->list(100, $conditions), 'id');
same('by reason', [$rejected['task_id']], $found(['reason' => 'rejected']));
check('its time', abs(strtotime($dead->show($rejected['task_id'])['failed_at']) - time()) < 60, json_encode($dead->show($rejected['task_id'])));
same('by type', [$rejected['task_id'], $old['task_id']], $found(['type' => 'mail']));
same('old ones', [$old['task_id']], $found(['before' => '1767312000']));
same('the others', [$rejected['task_id'], $late['task_id']], $found(['after' => new DateTimeImmutable('@1767312000')]));
same('both', [], $found(['type' => 'image', 'before' => time()]));
holds('a slip', 'did you mean `reason`?', thrown(fn () => $dead->list(1, ['reasn' => 'x'])));
same('requeued by reason', 1, $dead->requeue(['reason' => 'failed', 'before' => time()]));
same('an empty list is none', 0, $dead->requeue([]));
same('by ids', 2, $dead->requeue([$late['task_id'], $rejected['task_id'], 'nobody']));
same('nothing is left', 0, $node->ready('task.dlq'));
done();
?>
--EXPECT--
ok
