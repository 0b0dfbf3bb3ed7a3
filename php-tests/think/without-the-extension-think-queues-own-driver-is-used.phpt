--TEST--
Without the extension the connections of Ferry use think-queue's own driver, and say so once
--FILE--
<?php

require __DIR__ . '/../support/child.php';

/** PHP without the extension. @return array{string, string} what it printed */
function without_ferry(string $code): array
{
    $files = temp_dir() . '/without-' . bin2hex(random_bytes(4));
    file_put_contents("$files.php", "<?php\n$code");
    $child = Child::start([getenv('FERRY_PHP'), '-n', '-d', 'display_errors=stderr', "$files.php"], $files);
    $child->wait();
    return [$child->out(), $child->err()];
}

$load = sprintf('require %s; require %s;', var_export(__DIR__ . '/../support/think-fakes.php', true), var_export(project('php/autoload.php'), true));
[$out, $err] = without_ferry($load . <<<'PHP'
    $app = new think\App();
    $config = ['type' => 'ferry', 'host' => '127.0.0.1'];
    $app->config->set(['default' => 'a', 'connections' => ['a' => $config, 'b' => $config, 'bus' => ['driver' => 'amqp'] + $config]], 'queue');
    $app->register(Ferry\Think\Service::class);
    $app->register(think\queue\Service::class);
    $app->initialize();
    echo get_class($app->queue->connection()), ' ', $app->queue->connection('b')->push('Job'), "\n";
    echo get_class($app->make(think\queue\Worker::class)), ' ', get_class($app->make('queue.failer')), "\n";
    try {
        Ferry\queue('Job');
    } catch (RuntimeException $e) {
        echo $e->getMessage(), "\n";
    }
    try {
        $app->queue->connection('bus');
    } catch (RuntimeException $e) {
        echo $e->getMessage(), "\n";
    }
    PHP);
same('ThinkPHP 8', <<<'TEXT'
    think\queue\connector\Redis pushed by think-queue
    think\queue\Worker think\queue\failed\None
    the extension ferry is not loaded (add `extension=ferry` to php.ini; `php --ri ferry` shows whether this PHP has it)
    the extension ferry is not loaded, and think-queue has no driver `amqp` to take its place: load the extension, or use `'type' => 'sync'` here

    TEXT, $out);
same('said once', "ferry: the extension is not loaded; think-queue's own driver `redis` is used instead\n", $err);

$load = str_replace('think-fakes', 'think5-fakes', $load);
[$out, $err] = without_ferry($load . <<<'PHP'
    think\Config::$all['queue'] = ['connector' => Ferry\Think\Connector::class, 'host' => '127.0.0.1'];
    echo think\Queue::push('Job'), ' ', json_encode([think\Queue::later(1, 'Job'), think\Queue::pop()]), "\n";
    (new Ferry\Think\WorkCommand())->execute(new think\console\Input([]), $output = new think\console\Output());
    echo $output->lines[0], "\n";
    PHP);
same('ThinkPHP 5', "pushed by think-queue [null,null]\nthink-queue's own command\n", $out);
same('said once', "ferry: the extension is not loaded; think-queue's own driver `redis` is used instead\n", $err);
done();
--EXPECT--
ok
