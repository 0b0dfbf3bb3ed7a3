<?php

declare(strict_types=1);

namespace Ferry\Think;

/**
 * What ThinkPHP 6 and 8 find through `extra.think.services`: the connector `ferry`, the worker behind `queue:work`, the failed store, and the
 * commands `ferry:*`. Connections of other types are not touched.
 */
class Service extends \think\Service
{
    private const CONNECTOR = 'think\queue\connector\Ferry';

    public function register(): void
    {
        if (Framework::hasThinkQueue() && !class_exists(self::CONNECTOR, false)) {
            class_alias(Connector::class, self::CONNECTOR);
        }
    }

    /** After the services of all packages are registered, so that ours hold. */
    public function boot(): void
    {
        $this->commands(Command::all());
        if (!Extension::isLoaded()) {
            return;
        }
        $framework = Framework::current();
        $framework->configure();
        if (Framework::hasThinkQueue()) {
            $this->app->bind(\think\queue\Worker::class, Worker::class);
            $this->bindFailedJobs($framework);
        } elseif (!function_exists('queue')) {
            require_once __DIR__ . '/helper.php';
        }
    }

    private function bindFailedJobs(Framework $framework): void
    {
        $theirs = (fn () => $this->bind['queue.failer'] ?? null)->call($this->app);
        if ($theirs instanceof \Closure) {
            $make = fn () => $this->app->invokeFunction($theirs);
            $this->app->bind('queue.failer', fn () => new FailedJobs($framework, $make));
        }
    }
}
