--TEST--
Without a queue package: Ferry\queue() pushes, object jobs with Queueable say where and when, and think-queue's names go on working
--FILE--
<?php

require __DIR__ . '/../support/boot.php';
require project('php/autoload.php');

use Ferry\Queue;
use function Ferry\queue;

class Plain
{
    public function fire(Ferry\Job $job, $data)
    {
        $GLOBALS['ran'][] = $data;
        $job->delete();
    }
}

class Welcome implements think\queue\ShouldQueue
{
    use think\queue\Queueable;

    public function __construct(private string $name)
    {
    }

    public function handle()
    {
        $GLOBALS['ran'][] = $this->name;
    }
}

Queue::configure(['default' => 'a', 'connections' => ['a' => ['type' => 'memory'], 'b' => ['type' => 'memory', 'queue' => 'own']]]);
check('push', is_string(queue(Plain::class, 'one')));
queue(Plain::class, 'later', 60);
queue(Plain::class, 'named', 0, 'mail');
same('default queue', ['ready' => 1, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], Queue::stats());
same('named queue', 1, Queue::stats('mail')['ready']);

queue((new Welcome('Li'))->onQueue('mail')->delay(5));
same('the wishes of an object', 1, Queue::stats('mail')['delayed']);
queue((new Welcome('Li'))->onQueue('mail')->delay(5), '', 0, 'other');
same('arguments come first', 1, Queue::stats('other')['delayed']);
queue((new Welcome('Wang'))->onConnection('b'));
same('its connection', 1, Queue::connection('b')->stats('own')['ready']);
(new Ferry\Worker(['connection' => 'b', 'stop_when_empty' => true, 'log' => 'none']))->run();
(new Ferry\Worker(['once' => true, 'log' => 'none']))->run();
same('they ran', ['Wang', 'one'], $ran);
same('think-queue\'s trait is ours', true, in_array('Ferry\Queueable', class_uses('Welcome')) || (new ReflectionClass('think\queue\Queueable'))->name === 'Ferry\Queueable');
done();
--EXPECT--
ok
