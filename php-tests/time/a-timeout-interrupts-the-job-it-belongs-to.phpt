--TEST--
A timeout strikes the job it belongs to: not a job inside it, not the code that resumed a fiber; and what finally blocks and destructors do does not hide it
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$begin = <<<'PHP'
use Ferry\Queue;
use Ferry\Worker;

Queue::configure(['default' => 'm', 'connections' => ['m' => ['type' => 'memory'], 's' => ['type' => 'sync']]]);
function spin(float $seconds = 5): void { $end = microtime(true) + $seconds; while (microtime(true) < $end); echo "SPIN OVER\n"; }
class Throwing { public function __destruct() { throw new LogicException('from a destructor'); } }
class Inner { public function fire($job, $data) { echo "inner\n"; spin(); } }
class After { public function fire($job, $data) { echo "after\n"; $job->delete(); } }
class Work
{
    public function fire($job, $case)
    {
        switch ($case) {
            case 'sync push':
                try {
                    Queue::connection('s')->push('Inner', 1);
                } catch (Throwable $e) {
                    echo 'CAUGHT ', get_class($e), "\n";
                }
                echo "GOES ON\n";
                break;
            case 'nested worker':
                $GLOBALS['inner'] = $inner = new Ferry\Connection(['type' => 'memory']);
                $inner->push('Inner', 1);
                $worker = new Worker(['connection' => $inner, 'timeout' => 30, 'log' => 'none']);
                $worker->on('exception', fn () => print("CHARGED\n"));
                try {
                    $worker->process();
                } catch (Throwable $e) {
                    echo 'CAUGHT ', get_class($e), "\n";
                }
                echo "GOES ON\n";
                break;
            case 'nested timeout':
                $inner = new Ferry\Connection(['type' => 'memory']);
                $inner->push('Inner', 1);
                $worker = new Worker(['connection' => $inner, 'timeout' => 0.2, 'grace' => 4, 'tries' => 1, 'log' => 'none']);
                $worker->on('timeout', fn ($job) => print("inner timed out\n"));
                $worker->process();
                echo "goes on\n";
                $job->delete();
                return;
            case 'throw in finally':
                try {
                    spin();
                } finally {
                    throw new LogicException('in finally');
                }
            case 'exit in finally':
                try {
                    spin();
                } finally {
                    exit(3);
                }
            case 'destructor':
                $value = new Throwing;
                spin();
                break;
            case 'return in finally':
                (function () {
                    try {
                        spin();
                    } finally {
                        return;
                    }
                })();
                return;
            case 'fiber inside':
                $fiber = new Fiber(function () { Fiber::suspend(); spin(); });
                $fiber->start();
                $fiber->resume();
                break;
        }
    }
    public function failed($data, $e) { echo 'failed ', get_class($e), "\n"; }
}
Queue::push('Work', $case);
Queue::push('After', 1);
$worker = new Worker(['stop_when_empty' => true, 'sleep' => 0, 'tries' => 1, 'timeout' => 0.5, 'grace' => 4, 'log' => 'none', 'prefetch' => 1]);
$worker->on('timeout', fn ($job) => print("timeout {$job->getName()}\n"));
$worker->on('processed', fn ($job) => print("processed {$job->getName()}\n"));
echo "run {$worker->run()}\n";
foreach (Queue::failed() as $failed) {
    echo $failed['reason'], "\n";
}
if (isset($inner)) {
    $waiting = $inner->pop();
    echo 'inner job is back, attempt ', $waiting?->attempts(), "\n";
}
PHP;

$stopped = "timeout Work\nfailed Ferry\\TimeoutException\nafter\nprocessed After\nrun 0\ntimeout\n";
$expected = [
    'sync push' => "inner\n$stopped",
    'nested worker' => "inner\n{$stopped}inner job is back, attempt 1\n",
    'nested timeout' => "inner\ninner timed out\ngoes on\nprocessed Work\nafter\nprocessed After\nrun 0\n",
    'throw in finally' => $stopped,
    'exit in finally' => $stopped,
    'destructor' => $stopped,
    'return in finally' => $stopped,
    'fiber inside' => $stopped,
];
$children = [];
foreach ($expected as $case => $said) {
    $children[$case] = Child::php('$case = ' . var_export($case, true) . ";\n$begin");
}
foreach ($expected as $case => $said) {
    same("$case: exit code", 0, $children[$case]->wait());
    same("$case: said", $said, $children[$case]->out());
}

// A worker in a fiber that is suspended past its timeout: the code that resumed it is not to blame.
$fiber = <<<'PHP'
Ferry\Queue::configure('memory:');
class Suspends { public function fire($job, $data) { Fiber::suspend(); echo "RESUMED TOO LATE\n"; while (true); } }
Ferry\Queue::push('Suspends', 1);
$worker = new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0, 'tries' => 1, 'timeout' => 0.2, 'grace' => 20]);
$timeouts = 0;
$worker->on('timeout', function () use (&$timeouts) { $timeouts++; });
$fiber = new Fiber(fn () => $worker->run());
$fiber->start();
$end = microtime(true) + 1;
while (microtime(true) < $end);
echo "main goes on\n";
if ($resume) {
    $fiber->resume();
    echo 'ended ', var_export($fiber->isTerminated(), true), ' ', $fiber->getReturn(), ", $timeouts timeout\n";
}
PHP;
$resumed = Child::php("\$resume = true;\n" . str_replace('echo "RESUMED TOO LATE\n"; ', '', $fiber));
$abandoned = Child::php("\$resume = false;\n$fiber");
same('resumed: exit code', 0, $resumed->wait());
same('resumed: said', "main goes on\nended true 0, 1 timeout\n", $resumed->out());
check('abandoned: it ends', $abandoned->wait(10) >= 0);
same('abandoned: said', "main goes on\n", $abandoned->out());
done();
?>
--EXPECT--
ok
