--TEST--
ferry.think_names = 0 leaves the names of think-queue alone
--INI--
ferry.think_names=0
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

class Job1
{
    public function fire($job, $data)
    {
        $job->delete();
    }
}

class Command
{
    public function handle()
    {
        echo "handle\n";
    }
}

foreach (['think\Queue', 'think\facade\Queue', 'think\queue\Job', 'think\queue\CallQueuedHandler', 'think\queue\ShouldQueue'] as $name) {
    same($name, false, class_exists($name) || interface_exists($name));
}
// Jobs run all the same; the handler of object jobs is found by its name on the wire.
Ferry\Queue::configure('memory:');
Ferry\Queue::push('Job1');
Ferry\Queue::push(new Command());
(new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none']))->run();
same('worked', [0, 0, 0, 0], array_values(Ferry\Queue::stats()));
eval('namespace think; class Queue {}');
same('the name is free', 'think\Queue', (new ReflectionClass('think\Queue'))->name);
done();
?>
--EXPECT--
handle
ok
