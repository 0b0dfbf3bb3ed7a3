<?php

declare(strict_types=1);

namespace Ferry\Think;

/**
 * What `php think queue:work` runs: Ferry's own loop on connections of Ferry, think-queue's on all others. Takes the place of
 * `think\queue\Worker` in the container of ThinkPHP 6 and 8.
 */
class Worker extends \think\queue\Worker
{
    public function daemon($connection, $queue, $delay = 0, $sleep = 3, $maxTries = 0, $memory = 128, $timeout = 60)
    {
        $connector = $this->queue->connection($connection);
        if (!$connector instanceof Connector) {
            $this->warnOfSync((string) $connection);
            parent::daemon($connection, $queue, $delay, $sleep, $maxTries, $memory, $timeout);
            return;
        }
        exit($this->work($connector, ['queue' => $queue, 'tries' => $maxTries, 'memory' => $memory, 'timeout' => $timeout] + self::pause($delay)));
    }

    public function runNextJob($connection, $queue, $delay = 0, $sleep = 3, $maxTries = 0)
    {
        $connector = $this->queue->connection($connection);
        if (!$connector instanceof Connector) {
            $this->warnOfSync((string) $connection);
            parent::runNextJob($connection, $queue, $delay, $sleep, $maxTries);
            return;
        }
        $code = $this->work($connector, ['queue' => $queue, 'tries' => $maxTries, 'sleep' => $sleep, 'once' => true] + self::pause($delay));
        if ($code !== 0) {
            exit($code);
        }
    }

    /** @param array<string, mixed> $options */
    private function work(Connector $connector, array $options): int
    {
        $framework = Framework::current();
        FailedJobs::remember($framework, $connector->getConnection(), explode(',', (string) $options['queue']));
        $worker = new \Ferry\Worker($options + ['connection' => $connector->native(), 'log' => 'none'] + $framework->workerOptions());
        $app = Framework\ThinkPhp8::app();
        $failed = $app->make('queue.failer');
        $events = new WorkerEvents($framework, $this->event, $failed instanceof FailedJobs ? $failed : null, $worker->stop(...));
        // think-queue says nothing at the end of --once.
        $silent = isset($options['once']) ? ['stopping' => 0] : [];
        foreach (array_diff_key($events->listeners(), $silent) as $name => $listener) {
            $worker->on($name, $listener);
        }
        return $worker->run();
    }

    /** think-queue's worker waits without a word for jobs of a connection that runs them at once. */
    private function warnOfSync(string $name): void
    {
        $problem = Settings::takenForSync(Framework::current()->config('queue'), $name);
        if ($problem !== null) {
            fwrite(STDERR, "ferry: $problem\n");
        }
    }

    /** The command's own default is the number 0, what somebody typed is a text: without --delay the pause grows from 1 to 60 s. */
    private static function pause(mixed $delay): array
    {
        return $delay === 0 ? [] : ['delay' => $delay];
    }
}
