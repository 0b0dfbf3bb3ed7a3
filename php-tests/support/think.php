<?php
// An application of ThinkPHP for a test: the real one where FERRY_THINK_AUTOLOAD names its autoloader, else a thin fake.

require_once __DIR__ . '/redis.php';
require_once project('php/autoload.php');

$autoload = getenv('FERRY_THINK_AUTOLOAD') ?: '';
$autoload === '' ? require_once __DIR__ . '/think-fakes.php' : require_once $autoload;

/** An exception handler that keeps what it is told. */
class Reports extends think\exception\Handle
{
    /** @var list<Throwable> */
    public array $kept = [];

    public function __construct()
    {
    }

    public function report(Throwable $e): void
    {
        $this->kept[] = $e;
    }
}

/**
 * A booted application with these connections.
 *
 * @param array<string, array<string, mixed>> $connections
 */
function think_app(array $connections, array $more = []): think\App
{
    $root = temp_dir() . '/think-' . bin2hex(random_bytes(4)) . '/';
    mkdir($root);
    at_the_end(fn () => remove_tree($root));
    $app = new think\App($root);
    Ferry\Think\Framework::forget();
    $app->config->set(['default' => array_key_first($connections), 'connections' => $connections] + $more, 'queue');
    $app->config->set(['default' => 'file', 'stores' => ['file' => ['type' => 'File', 'path' => "$root/cache"]]], 'cache');
    $app->config->set(['default' => 'none', 'channels' => ['none' => ['type' => 'File', 'path' => "$root/log"]]], 'log');
    // In the order in which Composer finds the packages.
    $app->register(Ferry\Think\Service::class);
    $app->register(think\queue\Service::class);
    $app->bind(think\exception\Handle::class, Reports::class);
    $app->initialize();
    return $app;
}

function remove_tree(string $folder): void
{
    foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS), RecursiveIteratorIterator::CHILD_FIRST) as $file) {
        $file->isDir() ? rmdir((string) $file) : unlink((string) $file);
    }
    rmdir($folder);
}

/** Runs jobs as `queue:work --once` does, until the queue is empty. */
function think_work(think\App $app, string $connection, string $queue = 'default', int|string $tries = 0): void
{
    while ($app->queue->connection($connection)->size($queue) > 0) {
        think_once($app, $connection, $queue, $tries);
    }
}

/** `queue:work --once --delay=0` */
function think_once(think\App $app, string $connection, string $queue = 'default', int|string $tries = 0): void
{
    $app->make(think\queue\Worker::class)->runNextJob($connection, $queue, '0', 0, $tries);
}
