--TEST--
A job popped by hand tells of itself, fires, is settled once, and is lost when its lease ended
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

class Job1
{
    public function fire($job, $data)
    {
        $GLOBALS['ran'][] = [$job, $data];
        if ($data === 'throw') {
            throw new DomainException('boom');
        }
    }

    public function failed($data, $e)
    {
        $GLOBALS['ran'][] = ['failed', $data, $e?->getMessage()];
    }
}

foreach (brokers(['retry_after' => 1]) as $name => $config) {
    $connection = use_broker($config);
    Queue::push('Job1', ['user' => ['id' => 7, 'a.b' => 8], 'null' => null]);
    $job = Queue::pop();
    same("$name payload()", ['user' => ['id' => 7, 'a.b' => 8], 'null' => null], $job->payload()['data']);
    same("$name payload(path)", [7, ['id' => 7, 'a.b' => 8], 'Job1'], [$job->payload('data.user.id'), $job->payload('data.user'), $job->payload('job')]);
    same("$name payload(default)", ['d', null, 'd'], [$job->payload('data.nope', 'd'), $job->payload('nope'), $job->payload('data.user.id.x', 'd')]);
    same("$name null is null", null, $job->payload('data.null'));
    check("$name payload('') is the whole", is_array($job->payload('')) && is_array($job->payload('0')) && is_array($job->payload(null)));
    same("$name state", [false, false, false, false, 1], [$job->isDeleted(), $job->isReleased(), $job->isDeletedOrReleased(), $job->hasFailed(), $job->attempts()]);
    $GLOBALS['ran'] = [];
    $job->fire();
    check("$name fire() hands over itself", $GLOBALS['ran'][0][0] === $job);
    same("$name fire() settles nothing", false, $job->isDeletedOrReleased());
    $job->failed(new RuntimeException('why'));
    same("$name failed()", 'why', $GLOBALS['ran'][1][2]);
    $job->markAsFailed();
    same("$name hasFailed()", true, $job->hasFailed());
    $job->release(60);
    $job->delete();
    $job->release(90);
    same("$name the first word counts", [true, false, '0/1/0/0'], [$job->isReleased(), $job->isDeleted(), implode('/', array_diff_key($connection->stats(), []))]);
    $connection->clear();

    Queue::push('Job1', 'throw');
    Queue::push('Nope');
    Queue::push('Job1@nope');
    Queue::pushRaw('zzz');
    same("$name what fire() throws is the caller's", 'DomainException: boom', thrown(fn () => Queue::pop()->fire()));
    same("$name no class", 'Ferry\HandlerNotFoundException: class Nope does not exist', thrown(fn () => Queue::pop()->fire()));
    same("$name no method", 'Ferry\HandlerNotFoundException: class Job1 has no method nope()', thrown(fn () => Queue::pop()->fire()));
    $poison = Queue::pop();
    holds("$name poison fires not", 'Ferry\\', thrown(fn () => $poison->fire()));
    holds("$name poison has no payload", 'Ferry\PoisonException', thrown(fn () => $poison->payload()));
    holds("$name poison has no tries", 'Ferry\PoisonException', thrown(fn () => $poison->maxTries()));
    same("$name poison has no name", ['', 'zzz'], [$poison->getName(), $poison->getRawBody()]);
    holds("$name a bad delay", 'the delay is', thrown(fn () => $poison->release('soon')));
    same("$name and nothing was settled", false, $poison->isDeletedOrReleased());
    $poison->delete();
    same("$name poison can be deleted", 3, Queue::size());
    $connection->clear();

    // The lease of one second ends; somebody else takes the job.
    Queue::push('Job1', 1);
    $mine = Queue::pop();
    $theirs = null;
    wait_until(function () use (&$theirs) {
        return ($theirs = Queue::pop()) !== null;
    }, 'the lease ends');
    same("$name attempts", [1, 2], [$mine->attempts(), $theirs->attempts()]);
    holds("$name delete() comes too late", 'Ferry\LostReservation', thrown(fn () => $mine->delete()));
    holds("$name so does release()", 'Ferry\LostReservation', thrown(fn () => $mine->release()));
    same("$name theirs is untouched", 1, Queue::stats()['reserved']);
    $theirs->delete();
    same("$name theirs settles", 0, Queue::size());
}
done();
?>
--EXPECT--
ok
