--TEST--
Pruning removes the failed jobs from before a second and no other, on every broker
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

class Breaks
{
    public function fire($job, $data)
    {
        throw new RuntimeException('no');
    }
}

/** Lets jobs of a queue fail. */
function fail(int $jobs, string $queue): void
{
    Queue::bulk(array_fill(0, $jobs, 'Breaks'), $queue, $queue);
    (new Ferry\Worker(['stop_when_empty' => true, 'tries' => 1, 'delay' => 0, 'log' => 'none', 'queue' => $queue]))->run();
}

/** Every second in which a job of these queues failed. */
function seconds(): array
{
    return array_merge(...array_map(fn ($queue) => array_column(Queue::failed($queue), 'failed_at'), ['mail', 'other']));
}

$brokers = [];
foreach (['think3', 'think3-legacy', 'think1'] as $family) {
    foreach (brokers($family === 'think3' ? [] : ['family' => $family]) as $broker => $config) {
        if ($broker !== 'memory') {
            $brokers["$broker, $family"] = $config;
        }
    }
}
$brokers['memory'] = ['type' => 'memory'];
foreach ($brokers as $name => $config) {
    use_broker($config);
    fail(3, 'mail');
    fail(2, 'other');
    $last = max(seconds());
    wait_until(fn () => time() > $last, 'the next second');
    fail(2, 'mail');
    fail(1, 'other');
    $young = min(array_filter(seconds(), fn ($second) => $second > $last));

    same("$name: nothing is older than the first", 0, Queue::forgetFailed(['before' => min(seconds())], 'mail'));
    same("$name: pruned", 3, Queue::forgetFailed(['before' => $young], 'mail'));
    same("$name: those of that second stay", [$young], array_values(array_unique(array_map(fn ($second) => min($second, $young), array_column(Queue::failed('mail'), 'failed_at')))));
    same("$name: how many", [2, 3], [count(Queue::failed('mail')), count(Queue::failed('other'))]);
    same("$name: again", 0, Queue::forgetFailed(['before' => new DateTimeImmutable("@$young")], 'mail'));
    same("$name: the other queue", 2, Queue::forgetFailed(['before' => new DateTimeImmutable("@$young")], 'other'));
    same("$name: all by time", [2, 1], [Queue::forgetFailed(['before' => time() + 60], 'mail'), Queue::forgetFailed(['before' => time() + 60], 'other')]);
    same("$name: none is left", [], seconds());
}
done();
?>
--EXPECT--
ok
