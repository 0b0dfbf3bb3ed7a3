--TEST--
work --tasks runs a registry in several processes: renewed by HUP, paused, resumed, restarted and stopped for all, watched by monitor and doctor
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('rabbitmq', 'sockets', 'redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';
require __DIR__ . '/../support/tasks.php';

use Ferry\Task\{TaskMessage, TaskProducer};

$node = RabbitNode::shared();
$config = ['default' => 'rabbit', 'connections' => [
    'rabbit' => $node->config(['control' => 'flags']),
    'flags' => ['type' => 'redis', 'host' => '127.0.0.1', 'port' => RedisServer::start()->port],
]];
Ferry\Queue::configure($config);
$connection = Ferry\Queue::connection('rabbit');
$book = new Book();
$config_file = temp_dir() . '/queue.php';
file_put_contents($config_file, '<?php return ' . var_export($config, true) . ';');

// Two handlers: one is named by its class and made by the container, the other one is an object.
$boot = $book->bootstrap(<<<'PHP'
    abstract class Handles implements Ferry\Task\TaskHandlerInterface {
        public function supports(string $type): bool { return $type === strtolower(static::class); }
    }
    final class Mail extends Handles {
        public function __construct(private string $from = 'nobody') {}
        public function handle(Ferry\Task\TaskMessage $task): Ferry\Task\TaskResult {
            note("mail {$task->payload['n']} from $this->from by " . getmypid());
            return Ferry\Task\TaskResult::success();
        }
    }
    final class Hold extends Handles {
        public function handle(Ferry\Task\TaskMessage $task): Ferry\Task\TaskResult {
            note('held by ' . getmypid());
            wait_until(fn () => file_exists($task->payload['file']) || clearstatcache(), 'the file appears', 60);
            note('let go by ' . getmypid());
            return Ferry\Task\TaskResult::success();
        }
    }
    final class Container {
        public function has(string $id): bool { return $id === Mail::class; }
        public function get(string $id): object { return new Mail('the container'); }
    }
    return ['container' => new Container(), 'on' => ['success' => fn ($task) => note("listened to {$task->taskType}")]];
    PHP);
$registry = temp_dir() . '/tasks.php';
file_put_contents($registry, '<?php return [Mail::class, new Hold()];');
$ferry = new Ferry();
$words = ["--bootstrap=$boot", "--config=$config_file"];
$work = ['work', 'rabbit', '--tasks', "--registry=$registry", ...$words];

// Wrong usage is said before anything is started.
$ferry->run(['work', 'rabbit', '--tasks', ...$words])->refused('no registry', 2, '--tasks needs --registry=FILE');
$ferry->run(['work', 'rabbit', "--registry=$registry", ...$words])->refused('no tasks', 2, '--registry belongs to --tasks');
$ferry->run([...$work, '--tries=3'])->refused('an option of jobs', 2, 'tasks have no option --tries');
$ferry->run(['work', 'flags', '--tasks', "--registry=$registry", ...$words])->refused('not RabbitMQ', 2, 'tasks lie on RabbitMQ, and this is redis');
file_put_contents(temp_dir() . '/wrong.php', '<?php return [stdClass::class];');
$ferry->run(['work', 'rabbit', '--tasks', '--registry=' . temp_dir() . '/wrong.php', ...$words])->refused('no handler', 2, 'stdClass, which is no class that implements');

// In this process.
$producer = new TaskProducer('rabbit');
$number = 0;
$publish = function (string $type = 'mail', array $payload = []) use ($producer, &$number): int {
    $producer->publish(new TaskMessage($type, $payload + ['n' => ++$number]));
    return $number;
};
$publish();
$said = $ferry->run([...$work, '--stop-when-empty'])->well('alone')->out;
holds('a line', '[Task] Success: ', $said);
same('made by the container, and listened to', ['mail 1 from the container', 'listened to mail'], array_map(fn ($line) => explode(' by ', $line)[0], $book->lines()));
$publish();
$publish();
$ferry->run([...$work, '--max-jobs=1'])->well('a limit');
wait_until(fn () => $node->ready('task.normal') === 1, 'one is left');

// Messages of other programs.
foreach (['decode' => 'return fn (string $body) => new Ferry\Task\TaskMessage("mail", ["n" => "of $body"]);', 'wrong-decode' => 'return 5;'] as $name => $code) {
    file_put_contents(temp_dir() . "/$name.php", "<?php $code");
}
$ferry->run([...$work, '--decode=' . temp_dir() . '/wrong-decode.php'])->refused('no callback', 2, 'must return a callable that takes body, headers and properties of a message, not int');
$ferry->run(['work', 'rabbit', '--decode=x.php', ...$words])->refused('a callback without tasks', 2, '--decode belongs to --tasks');
$channel = $node->amqplib();
$channel->queue_declare('foreign', false, true, false, false);
$channel->basic_publish(new PhpAmqpLib\Message\AMQPMessage('another program'), '', 'foreign');
$channel->getConnection()->close();
$ferry->run([...$work, '--decode=' . temp_dir() . '/decode.php', '--queue=task.normal,foreign', '--processes=1', '--stop-when-empty'])->well('decoded');
same('the task that it stands for', ['mail of another program from the container', 'listened to mail'], array_map(fn ($line) => explode(' by ', $line)[0], array_slice($book->lines(), -2)));

// Several processes; killed ones are replaced, HUP renews them.
$master = $ferry->start([...$work, '--processes=2']);
$first = wait_for_children($master, 2);
$book->waitFor('mail 3 ');
wait_until(fn () => count($connection->workers()) === 2, 'both report');
posix_kill($first[0], SIGKILL);
$second = wait_for_children($master, 2, [$first[0]]);
$master->signal(SIGHUP);
$third = wait_for_children($master, 2, $second);
wait_until(fn () => array_diff($third, array_column($connection->workers(), 'pid')) === [], 'the new ones report');

// Paused for all, one queue and then what it holds goes on.
same('paused', "Paused: `task.normal` on `rabbit`.\n", $ferry->run(['pause', 'task.normal', '-c', 'rabbit', ...$words])->out);
wait_until(function () use ($publish, $book, $node) {
    // Until the workers have read the flag, they still take tasks.
    $at = $publish();
    usleep(300_000);
    return !str_contains(implode("\n", $book->lines()), "mail $at ") && $node->ready('task.normal') > 0;
}, 'nobody takes the queue');
$waiting = $number;
$producer->publish(new TaskMessage('mail', ['n' => ++$number], 9));
$book->waitFor("mail $number ");
$monitor = $ferry->run(['monitor', '-c', 'rabbit', '--once', '--json', ...$words])->well('monitor')->json();
same('monitor knows the queues of tasks', [], array_diff(['task.high', 'task.normal', 'task.low', 'task.dlq'], array_column($monitor['queues'], 'queue')));
same('and shows the pause', ['task.normal'], array_column(array_filter($monitor['queues'], fn ($queue) => $queue['paused']), 'queue'));
$ferry->run(['resume', 'task.normal', '-c', 'rabbit', ...$words])->well('resume');
$book->waitFor("mail $waiting ");

// A restart lets the running task end.
$gate = temp_dir() . '/gate';
$publish('hold', ['file' => $gate]);
$book->waitFor('held by');
$ferry->run(['restart', '-c', 'rabbit', ...$words])->well('restart');
wait_until(fn () => count(array_intersect(children_of($master->pid), $third)) <= 1, 'the idle one was replaced');
touch($gate);
$book->waitFor('let go by');
$fourth = wait_for_children($master, 2, $third);

// The doctor sees what the dead letters lack; then all stop.
$findings = $ferry->run(['doctor', '-c', 'rabbit', '--json', ...$words])->json()['findings'];
$dead = array_values(array_filter($findings, fn ($finding) => $finding['topic'] === 'Dead tasks'));
same('doctor', ['warn'], array_column($dead, 'level'));
Ferry\Task\Schema::declare('rabbit');
$findings = $ferry->run(['doctor', '-c', 'rabbit', '--json', ...$words])->json()['findings'];
same('doctor, declared', ['ok'], array_column(array_filter($findings, fn ($finding) => $finding['topic'] === 'Dead tasks'), 'level'));
$ferry->run(['stop', '-c', 'rabbit', ...$words])->well('stop');
same('stopped', 0, $master->wait());
$ran = array_map(fn ($line) => explode(' by ', $line)[0], preg_grep('/^mail /', $book->lines()));
same('each ran once', count($ran), count(array_unique($ran)));
done();
?>
--EXPECT--
ok
