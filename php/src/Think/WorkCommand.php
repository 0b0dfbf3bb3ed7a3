<?php

declare(strict_types=1);

namespace Ferry\Think;

use think\console\Input;
use think\console\Output;

/**
 * `php think queue:work` of ThinkPHP 5.0 and 5.1 on Ferry's loop, when `application/command.php` names this class. With another connector it
 * is think-queue's own command.
 */
class WorkCommand extends \think\queue\command\Work
{
    public function execute(Input $input, Output $output)
    {
        $framework = Framework::current();
        if (!Extension::isLoaded() || !$framework instanceof Framework\ThinkPhp51 || !Settings::isOurs($framework->config('queue'))) {
            return parent::execute($input, $output);
        }
        $queue = $input->getOption('queue');
        if ($input->getOption('daemon')) {
            $framework->hook('worker_daemon_start', $queue);
        }
        $code = $this->work($framework, $input, $output, $queue);
        if ($code !== 0) {
            exit($code);
        }
    }

    private function work(Framework\ThinkPhp51 $framework, Input $input, Output $output, ?string $queue): int
    {
        // v1 and v2 have no timeout in a worker. The default of --delay is the number 0, what somebody typed is a text.
        $options = ['timeout' => 0, 'log' => 'none', 'once' => !$input->getOption('daemon'), 'queue' => $queue];
        foreach (['memory', 'sleep', 'tries'] as $name) {
            $options[$name] = $input->getOption($name);
        }
        $delay = $input->getOption('delay');
        $connection = ['connection' => $framework->connection(Settings::ONLY)] + ($delay === 0 ? [] : ['delay' => $delay]);
        $worker = new \Ferry\Worker($options + $connection + $framework->workerOptions());
        foreach ((new OldHooks($framework, $worker->stop(...), $queue))->listeners() as $event => $listener) {
            $worker->on($event, $listener);
        }
        $worker->on('processed', fn (\Ferry\Job|Job $job) => $output->writeln('<info>Processed:</info> ' . $job->getName()));
        $worker->on('failed', fn (\Ferry\Job|Job $job) => $output->writeln('<error>Failed:</error> ' . $job->getName()));
        return $worker->run();
    }
}
