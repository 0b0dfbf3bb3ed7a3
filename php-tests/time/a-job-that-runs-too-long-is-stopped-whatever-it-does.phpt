--TEST--
A job that runs too long is stopped whatever it does; its finally blocks run and it leaves no trace
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;

class Slow
{
    public $timeout = 0.1;
    public static array $finally = [];
    public static array $failed = [];

    public function fire($job, $data)
    {
        try {
            chdir('/');
            setlocale(LC_ALL, 'C.UTF-8');
            ob_start();
            match ($data) {
                'loop' => $this->loop(),
                'swallows' => $this->swallow(),
                'sleeps' => sleep(20),
                'usleeps' => usleep(20_000_000),
                'selects' => $this->select(),
                'generator' => iterator_to_array((function () { while (true) { yield 1 => 1; } })()),
                'sorts' => usort($GLOBALS['numbers'], function ($a, $b) { usleep(1000); return $a <=> $b; }),
            };
        } finally {
            self::$finally[] = $data;
        }
    }

    private function loop(): void
    {
        while (true) {
        }
    }

    private function swallow(): void
    {
        while (true) {
            try {
                while (true) {
                    $this->quick();
                }
            } catch (Throwable) {
                echo 'swallowed';
            }
        }
    }

    private function quick(): int
    {
        return 1;
    }

    private function select(): void
    {
        [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $read = [$a];
        $none = null;
        stream_select($read, $none, $none, 20);
        while (true) {
        }
    }

    public function failed($data, $e)
    {
        self::$failed[$data] = get_class($e);
    }
}

class Quick
{
    public function fire($job, $data)
    {
        usleep(1000);
        $job->delete();
    }
}

$GLOBALS['numbers'] = range(1000, 1);
$kinds = ['loop', 'swallows', 'sleeps', 'usleeps', 'selects', 'generator', 'sorts'];
Queue::configure('memory:');
foreach ($kinds as $kind) {
    Queue::push('Slow', $kind);
    Queue::push('Quick');
}
$directory = getcwd();
$level = ob_get_level();
$locale = setlocale(LC_ALL, 0);
$stopped = 0;
$worker = new Ferry\Worker(['stop_when_empty' => true, 'log' => 'none', 'tries' => 1]);
$worker->on('timeout', function (Ferry\Job $job, float $seconds) use (&$stopped) {
    $stopped++;
    same('the timeout told', 0.1, $seconds);
});
$start = clock();
ob_start();
same('the worker goes on', 0, $worker->run());
ob_end_clean();
check('each was stopped soon', clock() - $start < count($kinds) * 1.0, clock() - $start);
same('stopped', count($kinds), $stopped);
same('finally', $kinds, Slow::$finally);
same('failed() is told', array_fill_keys($kinds, 'Ferry\TimeoutException'), Slow::$failed);
same('working directory', $directory, getcwd());
same('output buffers', $level, ob_get_level());
same('locale', $locale, setlocale(LC_ALL, 0));
same('the others are done', ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => count($kinds)], Queue::stats());
same('the reason', ['timeout'], array_values(array_unique(array_column(Queue::connection()->failed(), 'reason'))));
done();
?>
--EXPECT--
ok
