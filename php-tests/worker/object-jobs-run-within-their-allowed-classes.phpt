--TEST--
Object jobs are unserialized within the allowed classes, run, and settle themselves
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Mail
{
    public function __construct(public $act = 'done', public $part = null)
    {
    }

    public function handle()
    {
        $GLOBALS['ran'][] = $this->act . ($this->part === null ? '' : ' with ' . get_class($this->part));
        if ($this->act === 'throw') {
            throw new RuntimeException('boom');
        }
    }

    public function failed()
    {
        $GLOBALS['ran'][] = 'failed() with ' . func_num_args();
    }
}

class Part
{
}

class NoHandle
{
}

Queue::configure('memory:');

function work(array $options = []): string
{
    $GLOBALS['ran'] = [];
    $failed = Queue::stats()['failed'];
    // Three jobs at most: what fails must fail at once, not come back for ever.
    (new Worker(['stop_when_empty' => true, 'max_jobs' => 3, 'log' => 'none'] + $options))->run();
    if (Queue::stats()['failed'] > $failed) {
        $record = Queue::connection()->failed(limit: 1)[0];
        $GLOBALS['ran'][] = "$record[reason]: " . strtok($record['exception'], "\n");
    }
    $left = Queue::connection()->clear();
    return implode(', ', $GLOBALS['ran']) . ($left ? " and $left left" : '');
}

Queue::push(new Mail());
same('handle()', 'done', work());
Queue::push(new Mail('throw'));
same('failed() gets no arguments', 'throw, failed() with 0, exception: RuntimeException: boom', substr(work(['tries' => 1]), 0, 57));
Queue::push(new Mail('done', new Part()));
same('allowed', 'done with Part', work(['allowed_classes' => ['Mail', 'Part']]));
Queue::push(new Mail('done', new Part()));
same('a part that is not allowed', 'done with __PHP_Incomplete_Class', work(['allowed_classes' => ['Mail']]));
Queue::push(new Mail());
same('allowed_classes makes object jobs part of a strict list', 'done', work(['strict' => true, 'handlers' => ['x' => 'Mail'], 'allowed_classes' => ['Mail']]));

// What can never run fails at once, whatever the tries.
Queue::push(new Mail());
$said = work(['allowed_classes' => ['Other']]);
check('a class that is not allowed fails at once', str_starts_with($said, 'no_handler: '), $said);
Queue::push(new NoHandle());
$said = work();
check('an object without handle() fails at once', str_starts_with($said, 'no_handler: '), $said);
$envelope = fn (string $data) => '{"job":"think\\\\queue\\\\CallQueuedHandler@call","maxTries":null,"timeout":null,"timeoutAt":null,"data":' . $data . ',"id":"x","attempts":0}';
$gone = '{"commandName":"Gone","command":"O:4:\"Gone\":0:{}"}';
Queue::pushRaw($envelope($gone));
same('a class that does not exist here is waited for', ' and 1 left', work());
Queue::pushRaw($envelope($gone));
same('also when it is allowed', ' and 1 left', work(['allowed_classes' => ['Gone']]));
foreach (['{"commandName":"x"}' => 'poison: ', '{"commandName":"x","command":"s:1:\"x\";"}' => 'poison: ', '{"commandName":"x","command":5}' => 'poison: ', '5' => 'poison: ', 'null' => 'poison: '] as $data => $reason) {
    Queue::pushRaw($envelope($data));
    $said = @work();
    check("$data fails at once", str_starts_with($said, $reason), $said);
}
done();
?>
--EXPECT--
ok
