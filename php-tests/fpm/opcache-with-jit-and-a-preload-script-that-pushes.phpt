--TEST--
php-fpm: with opcache, tracing JIT and a master that itself pushed while preloading, children push over connections of their own
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

// Hot enough to be compiled: the pushes of one request run in traces.
$push = <<<'PHP'
$n = (int) $_GET['n'];
$ids = [];
for ($i = 0; $i < 5; $i++) {
    $ids[] = (new Preloaded($n * 5 + $i))->send($_GET['on']);
}
$jit = opcache_get_status(false)['jit'] ?? [];
echo json_encode(['pid' => getmypid(), 'ids' => $ids, 'jit' => $jit['on'] ?? false, 'used' => $jit['buffer_size'] - $jit['buffer_free'], 'own' => Preloaded::$pid]);
PHP;
$preload = <<<'PHP'
final class Preloaded
{
    public static int $pid = 0;

    public function __construct(private int $n)
    {
    }

    public function send(string $on): string|int
    {
        self::$pid = self::$pid ?: getmypid();
        return Ferry\Queue::connection($on)->push('Job1', $this->n, 'web');
    }
}
final class Held implements Ferry\ShouldQueue
{
}
foreach (['redis', 'sqlite'] as $on) {
    Ferry\Queue::configure(['default' => 'redis', 'connections' => ['redis' => ["url" => getenv("ON_REDIS")], 'sqlite' => ["url" => getenv("ON_SQLITE")]]]);
    Ferry\Queue::connection($on)->push('Job1', -1, 'master-' . getmypid());
    Ferry\Queue::connection($on)->size('master-' . getmypid()) === 1 || exit(1);
}
PHP;
$configure = 'Ferry\Queue::configure(["default" => "redis", "connections" => ["redis" => ["url" => getenv("ON_REDIS")], "sqlite" => ["url" => getenv("ON_SQLITE")]]]);';

$server = RedisServer::start();
$redis = $server->client();
// Where the pool's user may write: SQLite makes files beside the database.
$folder = temp_dir() . '-db';
mkdir($folder);
chmod($folder, 0777);
at_the_end(fn () => shell_exec('rm -rf ' . escapeshellarg($folder)));
$before = connections_taken($redis);

$flags = ['zend_extension=opcache', 'opcache.enable=1', 'opcache.jit=tracing', 'opcache.jit_buffer_size=16M', 'opcache.jit_hot_loop=4', 'opcache.jit_hot_func=8'];
file_put_contents("$folder/preload.php", "<?php $preload");
$flags[] = "opcache.preload=$folder/preload.php";
$site = FpmSite::start(
    ['push.php' => $configure . $push],
    ['www' => []],
    array_merge(...array_map(fn ($flag) => ['-d', $flag], $flags)),
    ['ON_REDIS' => $server->dsn(), 'ON_SQLITE' => "sqlite:$folder/jobs.sqlite"],
    as_user: true,
);
$master = $site->master();
same('the master pushed while it preloaded', 1, $redis->lLen("{queues:master-$master}"));
// One link for push, one for size.
same('over its own connections', 2, connections_taken($redis) - $before);

foreach (['redis' => 400, 'sqlite' => 100] as $on => $requests) {
    $answers = http_all($site->socket(), array_map(fn ($n) => "/www/push.php?on=$on&n=$n", range(0, $requests - 1)));
    same("$on: every request is answered", [200 => $requests], array_count_values(array_column($answers, 0)));
    $answers = array_map(fn ($answer) => json_decode($answer[1], true) ?? throw new RuntimeException($answer[1]), $answers);
    same("$on: JIT is on", [true], array_values(array_unique(array_column($answers, 'jit'))));
    check("$on: JIT compiled something", max(array_column($answers, 'used')) > 0);
    check("$on: in children", count(array_unique(array_column($answers, 'pid'))) <= 4 && !in_array($master, array_column($answers, 'pid'), true));
    $ids = array_merge(...array_column($answers, 'ids'));
    same("$on: every id is its own", $requests * 5, count(array_unique($ids)));
    if ($on === 'redis') {
        $stored = array_combine(stored_ids($redis, 'web'), stored_data($redis, 'web'));
    } else {
        $pdo = new PDO("sqlite:$folder/jobs.sqlite");
        $rows = $pdo->query("select id, payload from jobs where queue = 'web'")->fetchAll(PDO::FETCH_KEY_PAIR);
        $stored = array_map(fn ($payload) => json_decode($payload)->data, $rows);
        unset($pdo);
    }
    same("$on: all are stored", $requests * 5, count($stored));
    $strangers = array_filter($ids, fn ($id, $n) => ($stored[$id] ?? null) !== $n, ARRAY_FILTER_USE_BOTH);
    same("$on: each answer belongs to its own push", [], $strangers);
}
check('four connections of the children at most', connections_taken($redis) - $before <= 2 + 4, connections_taken($redis) - $before);
done();
?>
--EXPECT--
ok
