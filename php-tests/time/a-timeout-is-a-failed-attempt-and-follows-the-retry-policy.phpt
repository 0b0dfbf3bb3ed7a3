--TEST--
A timeout is a failed attempt: tries and backoff of payload, handler and worker decide what comes next
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Loops
{
    public $timeout = 0.05;
    public $tries = 2;
    public $backoff = [30];

    public function fire($job, $data)
    {
        while (true) {
        }
    }
}

class Throws
{
    public function __construct(private $data = null)
    {
    }

    public function fire($job, $data)
    {
        throw new RuntimeException('boom');
    }

    public function backoff()
    {
        return [7, $this->data];
    }
}

class Patient
{
    public int $tries = 9;
    public float $timeout = 0.05;

    public function handle()
    {
        while (true) {
        }
    }
}

function told(array $options, callable $push): array
{
    Queue::configure('memory:');
    Queue::connection()->clear();
    $push();
    $told = [];
    $worker = new Worker($options + ['once' => true, 'delay' => 0, 'log' => 'none']);
    foreach (['timeout', 'exception', 'failed'] as $event) {
        $worker->on($event, function () use (&$told, $event) {
            $told[] = $event;
        });
    }
    $worker->on('released', function ($job, $delay) use (&$told) {
        $told[] = "released $delay";
    });
    $worker->run();
    return $told;
}

same('the handler\'s backoff', ['timeout', 'exception', 'released 30'], told(['tries' => 9, 'delay' => 3], fn () => Queue::push('Loops')));
same('no limit by the payload', ['timeout', 'exception', 'released 30'], told(['tries' => 1], fn () => Queue::pushRaw('{"job":"Loops","maxTries":0,"data":1,"id":"x","attempts":7}')));
same('the payload\'s tries first', ['timeout', 'failed', 'exception'], told(['tries' => 9], fn () => Queue::pushRaw('{"job":"Loops","maxTries":1,"data":1,"id":"x","attempts":0}')));
same('the payload\'s timeout first', ['timeout', 'exception', 'released 0'], told([], fn () => Queue::push(new Patient())));
same('backoff() by attempt', ['exception', 'released 7'], told([], fn () => Queue::push('Throws', 99)));
same('the second step', ['exception', 'released 99'], told([], fn () => Queue::pushRaw('{"job":"Throws","data":99,"id":"x","attempts":1}')));
same('the last step repeats', ['exception', 'released 99'], told([], fn () => Queue::pushRaw('{"job":"Throws","data":99,"id":"x","attempts":8}')));
foreach ([['backoff' => 4], ['backoff' => '4'], ['backoff' => [4]], ['backoff' => '4,8'], ['delay' => 4], ['backoff' => ['base' => 4]]] as $options) {
    eval('class Plain' . ($n = ($n ?? 0) + 1) . ' { function fire() { throw new Exception(); } }');
    same(json_encode($options), ['exception', 'released 4'], told($options, fn () => Queue::push("Plain$n")));
}
same('exponential', ['exception', 'released 32'], told(['backoff' => ['base' => 4, 'cap' => 60]], fn () => Queue::pushRaw('{"job":"Plain1","data":99,"id":"x","attempts":3}')));
same('capped', ['exception', 'released 60'], told(['backoff' => ['base' => 4, 'cap' => 60]], fn () => Queue::pushRaw('{"job":"Plain1","data":99,"id":"x","attempts":9}')));
foreach (['-1', [1, -5], 'soon', ['base' => 'x'], ['base' => 1, 'jitter' => 2], ['base' => 1, 'max' => 9], new stdClass()] as $bad) {
    holds('refused', 'InvalidArgumentException: the worker option `backoff` must be', thrown(fn () => new Worker(['backoff' => $bad])));
}
done();
?>
--EXPECT--
ok
