--TEST--
Classes that an autoloader provides, as Composer does, win over our names
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

// What Composer's loader does: it knows the files of the package.
spl_autoload_register(function ($class) {
    $GLOBALS['asked'][] = $class;
    $package = [
        'think\queue\Job' => 'namespace think\queue; abstract class Job { public $inner; public function __construct($inner = null) { $this->inner = $inner; } public function __call($name, $arguments) { return $this->inner->$name(...$arguments); } }',
        'think\Queue' => 'namespace think; class Queue { const REAL = true; }',
        'app\Job' => 'namespace app; class Job extends \think\queue\Job {}',
    ];
    if (isset($package[$class])) {
        eval($package[$class]);
    }
});

same('theirs', true, think\Queue::REAL);
same('theirs', 'think\queue\Job', (new ReflectionClass('think\queue\Job'))->name);
same('those that the package lacks are ours', 'Ferry\ShouldQueue', (new ReflectionClass('think\queue\ShouldQueue'))->name);
check('the loader was asked first', in_array('think\queue\ShouldQueue', $GLOBALS['asked'], true));

// A handler typed with the package's class needs the `job` option, or ferry/php (php-tests/think).
class Typed
{
    public function fire(think\queue\Job $job, $data)
    {
        echo get_class($job), "\n";
        $job->delete();
    }
}
Ferry\Queue::configure('memory:');
Ferry\Queue::push('Typed');
$worker = new Ferry\Worker(['once' => true, 'tries' => 1, 'log' => 'none', 'sleep' => 0]);
$worker->on('exception', function ($job, $e) {
    echo get_class($e), "\n";
});
$worker->run();
same('its job waits', ['ready' => 0, 'delayed' => 1, 'reserved' => 0, 'failed' => 0], Ferry\Queue::stats());
Ferry\Queue::connection()->clear();
Ferry\Queue::push('Typed');
(new Ferry\Worker(['once' => true, 'log' => 'none', 'job' => 'app\Job']))->run();
same('done', 0, Ferry\Queue::size());

// A loader that throws is heard, and one that comes later is asked too.
spl_autoload_register(fn ($class) => $class === 'think\facade\Queue' ? throw new DomainException('loader') : null, true, true);
same('a throwing loader', 'DomainException: loader', thrown(fn () => class_exists('think\facade\Queue')));
spl_autoload_unregister(spl_autoload_functions()[0]);
same('and without it ours is there', true, class_exists('think\facade\Queue'));
done();
?>
--EXPECT--
Ferry\HandlerNotFoundException
app\Job
ok
