--TEST--
A failover: the old primary says READONLY, the address leads to the new one, and workers and producers go on by themselves
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'posix', 'sockets'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';
require __DIR__ . '/../support/proxy.php';

use Ferry\Queue;

const JOBS = 3000;

$worker = <<<'PHP'
class Notes
{
    public function fire($job, $data)
    {
        usleep(2000);
        echo "did $data\n";
        $job->delete();
    }
}
$worker = new Ferry\Worker(['log' => 'none', 'settle' => getenv('SETTLE'), 'prefetch' => 16]);
$worker->on('failed', function ($job, $e) { fwrite(STDERR, "failed: $e\n"); });
exit($worker->run());
PHP;

/** The numbers of the jobs that a server has. */
function jobs_of(Redis $redis): array
{
    $bodies = [...$redis->lRange('{queues:default}', 0, -1), ...$redis->zRange('{queues:default}:reserved', 0, -1), ...$redis->zRange('{queues:default}:delayed', 0, -1)];
    return array_map(fn ($body) => json_decode($body)->data, $bodies);
}

/** How often each job was done. @param list<Child> $workers */
function done_by(array $workers): array
{
    preg_match_all('/^did (\d+)$/m', implode('', array_map(fn ($child) => $child->out(), $workers)), $found);
    return array_count_values($found[1]);
}

// Without the delay that lets more replicas come.
$old = RedisServer::start(['--repl-diskless-sync-delay', '0']);
$new = RedisServer::start(['--replicaof', '127.0.0.1 ' . $old->port, '--repl-diskless-sync-delay', '0']);
[$old_link, $new_link] = [$old->client(), $new->client()];
wait_until(fn () => $new_link->info('replication')['master_link_status'] === 'up', 'the replica follows');

// An address that stays. Like a load balancer it leaves the connections that there are where they lead.
$address = Proxy::before($old->port);
$dsn = "redis://127.0.0.1:{$address->port}?retry_after=3&timeout=2&read_timeout=2";
Queue::configure($dsn);
for ($number = 1; $number <= JOBS; $number++) {
    Queue::push('Notes', $number);
}
Queue::later(2, 'Notes', JOBS + 1);
// WAIT is about the writes of its own link, and those lie behind all before them.
$old_link->set('pushed', JOBS);
check('the replica has every job', $old_link->rawCommand('WAIT', 1, 5000) >= 1);
$workers = [];
foreach (['pipelined', 'pipelined', 'immediate'] as $settle) {
    $workers[] = Child::php($worker, [], ['FERRY_URL' => $dsn, 'SETTLE' => $settle]);
}
wait_until(fn () => count(done_by($workers)) > JOBS / 10, 'the workers are in the middle of it', 30);
check('there is work left', Queue::size() > JOBS / 4, Queue::size());

// The old primary is demoted first, so writes are refused everywhere. It follows nobody yet: two servers that follow each other empty
// each other.
$old_link->rawCommand('REPLICAOF', '127.0.0.1', '1');
holds('a push is refused', 'READONLY', thrown(fn () => Queue::push('Notes', 0)));
foreach ($workers as $n => $child) {
    wait_until(fn () => str_contains($child->err(), 'trying again'), "worker $n is refused");
    holds("worker $n says why", 'READONLY', $child->err());
}
$new_link->rawCommand('REPLICAOF', 'NO', 'ONE');
$has = jobs_of($new_link);
check('the new primary has jobs', count($has) > JOBS / 4, count($has));
$old_link->rawCommand('REPLICAOF', '127.0.0.1', (string) $new->port);
$address->leadTo($new->port);
// A link that was refused like this is not used again: the producer goes on at once.
Queue::push('Notes', JOBS + 2);
foreach ($workers as $n => $child) {
    wait_until(fn () => str_contains($child->err(), 'answers again'), "worker $n is back");
}
for ($number = JOBS + 3; $number <= JOBS + 200; $number++) {
    Queue::push('Notes', $number);
}
wait_until(fn () => Queue::size() === 0, 'everything is done', 30);

foreach ($workers as $n => $child) {
    $child->signal(SIGTERM);
    same("worker $n: exit code", 0, $child->wait());
    same("worker $n: one line for the failover", 1, substr_count($child->err(), '; trying again'));
    same("worker $n: and one for its end", 1, substr_count($child->err(), 'the broker answers again'));
}
$done = done_by($workers);
same('a job that was pushed is missing', [], array_values(array_diff(range(1, JOBS + 200), array_keys($done))));
same('a job of the new primary is missing', [], array_values(array_diff($has, array_keys($done))));
same('a job that was pushed to the new primary ran twice', [], array_filter($done, fn ($times, $number) => $number > JOBS + 1 && $times > 1, ARRAY_FILTER_USE_BOTH));
same('a job that the new primary did not have ran twice', [], array_diff(array_keys(array_filter($done, fn ($times) => $times > 1)), $has));
same('nothing is left', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], Queue::stats());
wait_until(fn () => $old_link->info('replication')['master_link_status'] === 'up', 'the old primary follows');
same('and it has no jobs either', [], jobs_of($old_link));
printf("%d jobs, %d of them on the new primary; %d ran again\n", JOBS + 200, count($has), array_sum($done) - count($done));
done();
?>
--EXPECTF--
3200 jobs, %d of them on the new primary; %d ran again
ok
