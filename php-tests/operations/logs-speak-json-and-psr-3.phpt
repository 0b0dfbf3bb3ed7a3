--TEST--
A worker logs plain lines, JSON or to a PSR-3 logger, by level, says how it starts and sums up
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

class Fine
{
    public function fire($job, $data)
    {
        $job->delete();
    }
}
class Bad
{
    public function fire($job, $data)
    {
        throw new DomainException('no route');
    }
}
class Logger
{
    public array $told = [];
    public ?string $throws = null;

    public function log($level, string|Stringable $message, array $context = []): void
    {
        $this->told[] = [$level, $message, $context];
        if ($this->throws === $context['event']) {
            throw new LogicException('the disk is full');
        }
    }
}

function run_with(array $options): string
{
    Queue::configure('sqlite:' . temp_dir() . '/' . bin2hex(random_bytes(4)) . '.sqlite');
    Queue::push('Fine', 1);
    Queue::push('Bad', 2);
    ob_start();
    (new Ferry\Worker($options + ['stop_when_empty' => true, 'tries' => 1]))->run();
    return ob_get_clean();
}

// Levels.
$lines = explode("\n", trim(run_with(['log_level' => 'notice', 'status' => 60])));
same('notice hides the lines of every job', 2, count($lines));
check('the start', (bool) preg_match('/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ferry: worker \d+ starts: connection default, driver sqlite, queue default, tries 1, timeout 60 s, retry_after 60 s, prefetch 64, memory unlimited, on_return leave, object_jobs any class$/', $lines[0]), $lines[0]);
check('the failure', str_contains($lines[1], 'Failed:     Bad (DomainException: no route in '), $lines[1]);
same('error leaves the failure', 1, substr_count(run_with(['log_level' => 'error', 'status' => 60]), "\n"));
same('no status, no banner', 0, substr_count(run_with(['log_level' => 'notice']), 'starts'));

// JSON.
$said = array_map(fn ($line) => json_decode($line, true, 8, JSON_THROW_ON_ERROR), explode("\n", trim(run_with(['log' => 'json', 'status' => 60]))));
same('events', ['starting', 'processing', 'processed', 'processing', 'failed'], array_column($said, 'event'));
same('levels', ['notice', 'info', 'info', 'info', 'error'], array_column($said, 'level'));
same('names of a job', ['time', 'level', 'event', 'message', 'pid', 'id', 'job', 'queue', 'connection', 'attempts'], array_keys($said[1]));
same('values of a job', ['Processing: Fine', getmypid(), '1', 'Fine', 'default', 'default', 1], array_values(array_slice($said[1], 3)));
same('time', true, DateTime::createFromFormat(DATE_ATOM, $said[1]['time']) instanceof DateTime);

// PSR-3.
$logger = new Logger();
same('nothing is printed', '', run_with(['log' => $logger, 'log_level' => 'info']));
same('told', ['info Processing: Fine', 'info Processed: Fine', 'info Processing: Bad'], array_map(fn ($told) => "$told[0] $told[1]", array_slice($logger->told, 0, 3)));
[$level, $message, $context] = $logger->told[3];
same('the failure', ['error', true, 'DomainException', 'no route', 'failed'], [$level, str_starts_with($message, 'Failed: Bad (DomainException: no route'), get_class($context['exception']), $context['exception']->getMessage(), $context['event']]);
$logger = new Logger();
$logger->throws = 'processed';
holds('what it throws ends the run', 'LogicException: the disk is full', thrown(fn () => run_with(['log' => $logger])));
ob_get_level() && ob_end_clean();

// A summary after its time, or a hundred jobs.
Queue::configure('sqlite:' . temp_dir() . '/many.sqlite');
Queue::connection()->bulk(array_fill(0, 250, 'Fine'));
$logger = new Logger();
(new Ferry\Worker(['log' => $logger, 'log_level' => 'notice', 'status' => 0.001, 'settle' => 'immediate', 'stop_when_empty' => true]))->run();
$summaries = array_values(array_filter($logger->told, fn ($told) => $told[2]['event'] === 'status'));
check('there are some', count($summaries) > 0);
same('names', ['event', 'processed', 'failed', 'pending', 'rate', 'memory', 'uptime'], array_keys($summaries[0][2]));
same('sums', 250, end($summaries)[2]['processed'] + end($summaries)[2]['pending']);

// Mistakes.
holds('an object that is no logger', 'PSR-3', thrown(fn () => new Ferry\Worker(['log' => new stdClass()])));
holds('a level that is none', 'debug, info, notice, warning, error', thrown(fn () => new Ferry\Worker(['log_level' => 'loud'])));
done();
?>
--EXPECT--
ok
