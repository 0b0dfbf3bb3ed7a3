--TEST--
What destructors of a handler or its values throw counts as thrown by the handler, and the next job runs
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Throwing
{
    public function __destruct()
    {
        throw new DomainException('destructor');
    }
}

class Holds
{
    private $value;

    public function fire($job, $data)
    {
        match ($data) {
            'local' => (function () { $value = new Throwing(); })(),
            'property' => $this->value = new Throwing(),
            'global' => $GLOBALS['held'] = new Throwing(),
        };
        $job->delete();
        $GLOBALS['ran'][] = $data;
    }
}

class Plain
{
    public function fire($job, $data)
    {
        $GLOBALS['ran'][] = 'plain';
        $job->delete();
    }
}

Queue::configure('memory:');
$events = [];
foreach (['local', 'property'] as $act) {
    Queue::push('Holds', $act);
    Queue::push('Plain');
}
$worker = new Worker(['stop_when_empty' => true, 'log' => 'none', 'delay' => 60, 'tries' => 5]);
foreach (['processed', 'exception', 'released', 'failed'] as $event) {
    $worker->on($event, function ($job, $e = null) use (&$events, $event) {
        $events[] = $event . ($e instanceof Throwable ? ': ' . $e->getMessage() : '') . ' ' . $job->payload('data');
    });
}
same('the run', 'nothing', thrown(fn () => $worker->run()));
// The local one threw before delete(): it is released. The property's threw after delete(), when the handler was freed.
same('events', ['exception: destructor local', 'released local', 'processed ', 'exception: destructor property', 'processed '], $events);
same('ran', ['plain', 'property', 'plain'], $GLOBALS['ran']);
same('states', [0, 1, 0, 0], array_values(Queue::stats()));
done();
?>
--EXPECT--
ok
