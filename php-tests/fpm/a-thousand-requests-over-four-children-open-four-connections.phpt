--TEST--
php-fpm: a thousand requests over four children store a thousand jobs over four connections, which outlive their requests
--SKIPIF--
<?php require __DIR__ . '/../support/skip-fpm.php'; ?>
--FILE--
<?php
require __DIR__ . '/../support/fpm.php';

$server = RedisServer::start();
$redis = $server->client();
$site = FpmSite::start(
    ['push.php' => 'echo getmypid(), " ", Ferry\Queue::push("Job1", (int) $_GET["n"], "web");'],
    ['www' => []],
    env: ['FERRY_URL' => $server->dsn()],
);
$before = connections_taken($redis);
same('nothing is connected before the first use', 0, links($redis));

$numbers = range(0, 999);
$answers = http_all($site->socket(), array_map(fn ($n) => "/www/push.php?n=$n", $numbers));
same('every request is answered', [200 => 1000], array_count_values(array_column($answers, 0)));
[$pids, $ids] = array_map(null, ...array_map(fn ($answer) => explode(' ', $answer[1]), $answers));
same('four children did it', 4, count(array_unique($pids)));
same('four connections were opened', 4, connections_taken($redis) - $before);

same('a thousand jobs are stored', 1000, $redis->lLen('{queues:web}'));
$data = stored_data($redis, 'web');
sort($data);
same('one of each request', $numbers, $data);
same('every id is its own', 1000, count(array_unique($ids)));
$stored = array_combine(stored_ids($redis, 'web'), stored_data($redis, 'web'));
$strangers = array_filter($numbers, fn ($n) => ($stored[$ids[$n]] ?? null) !== $n);
same('every answer is the id of the job of its own request', [], $strangers);
done();
?>
--EXPECT--
ok
