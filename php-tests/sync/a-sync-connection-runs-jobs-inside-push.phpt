--TEST--
A sync connection runs jobs inside push: the caller gets what they throw, nothing is stored, and it cannot have a worker
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Job1
{
    public function fire($job, $data)
    {
        $GLOBALS['ran'][] = $data;
        match ($data) {
            'throw' => throw new DomainException('boom'),
            'error' => strlen(),
            'delete' => $job->delete(),
            'release' => $job->release(60),
            'nested' => Queue::push('Job1', 'inner'),
            'look' => $GLOBALS['seen'] = [$job->attempts(), $job->getQueue(), $job->getConnection(), $job->getName(), $job->isDeletedOrReleased()],
            default => null,
        };
    }

    public function failed($data, $e)
    {
        $GLOBALS['ran'][] = 'failed()';
    }
}

class Command
{
    public function handle()
    {
        $GLOBALS['ran'][] = 'handle';
    }
}

class Fails
{
    public function handle()
    {
        throw new RangeException('object');
    }
}

Queue::configure(['default' => 's', 'connections' => ['s' => ['type' => 'sync', 'queue' => 'sq']]]);
$GLOBALS['ran'] = [];
same('answers', [0, 0, 0, 0, null], [Queue::push('Job1', 'delete'), Queue::later(3600, 'Job1', 'release'), Queue::pushOn('q', 'Job1', 'x'), Queue::push(new Command()), Queue::bulk(['Job1', new Command()], 'y')]);
same('ran', ['delete', 'release', 'x', 'handle', 'y', 'handle'], $GLOBALS['ran']);
$GLOBALS['ran'] = [];
same('thrown', 'DomainException: boom', thrown(fn () => Queue::push('Job1', 'throw')));
same('an Error too', 'ArgumentCountError', strtok(thrown(fn () => Queue::push('Job1', 'error')), ':'));
same('of an object job', 'RangeException: object', thrown(fn () => Queue::push(new Fails())));
same('failed() is not called, as in v3', ['throw', 'error'], $GLOBALS['ran']);
same('the rest of bulk does not run', 'DomainException: boom', thrown(fn () => Queue::bulk(['Job1', 'Job1'], 'throw')));
same('ran', ['throw', 'error', 'throw'], $GLOBALS['ran']);
same('no handler', 'Ferry\HandlerNotFoundException: class Nope does not exist', thrown(fn () => Queue::push('Nope')));
holds('no method', 'no method nope()', thrown(fn () => Queue::push('Job1@nope')));
holds('poison', 'Ferry\PoisonException', thrown(fn () => Queue::pushRaw('zzz')));
$GLOBALS['ran'] = [];
Queue::push('Job1', 'nested');
same('push inside a job inside push', ['nested', 'inner'], $GLOBALS['ran']);
Queue::push('Job1', 'look', 'named');
same('the job', [1, 'named', 's', 'Job1', false], $GLOBALS['seen']);
same('nothing is stored', [0, null, [], [], 0, [0, 0, 0, 0]], [Queue::size(), Queue::pop(), Queue::connection()->peek(), Queue::connection()->failed(), Queue::connection()->clear(), array_values(Queue::stats())]);
holds('bad arguments are refused all the same', 'the delay is', thrown(fn () => Queue::later('soon', 'Job1')));
holds('bad data too', 'Unable to create payload', thrown(fn () => Queue::push('Job1', NAN)));
holds('and bad queue names', 'UTF-8', thrown(fn () => Queue::push('Job1', 1, "\xff")));
$said = thrown(fn () => (new Ferry\Worker())->run());
check('no worker', str_starts_with($said, 'Ferry\ConfigException') && str_contains($said, 'sync'), $said);

// Job data go through JSON, as on every other connection.
Queue::push('Job1', ['o' => new stdClass(), 'f' => 1.0]);
same('data', ['o' => [], 'f' => 1], end($GLOBALS['ran']));
done();
?>
--EXPECT--
ok
