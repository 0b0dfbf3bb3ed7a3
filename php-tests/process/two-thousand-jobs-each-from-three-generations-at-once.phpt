--TEST--
A parent, its children and their children push two thousand jobs each at once: nobody reads another's answer, every job is there once
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

const EACH = 2000;

/** Pushes, and keeps what it was answered. What must be refused, and sizes, are asked in between: a wrong answer shows there. */
function push_many(string $who, string $answers, bool $refuses): int
{
    $kept = [];
    for ($n = 0; $n < EACH; $n++) {
        $kept[$n] = $n % 10 === 5 ? Queue::later(3600, 'Job1', "$who-$n", 'shared') : Queue::push('Job1', "$who-$n", 'shared');
        if ($n % 100 === 50) {
            Queue::push('Job1', $n, "own-$who");
            if (Queue::size("own-$who") !== intdiv($n, 100) + 1) {
                throw new Exception("$who got a size that is not its own at $n");
            }
            if ($refuses && !str_contains($said = thrown(fn () => Queue::push('Job1', $n, 'bad')), 'WRONGTYPE')) {
                throw new Exception("$who got an answer that is not its own at $n: $said");
            }
        }
    }
    file_put_contents("$answers-$who", json_encode($kept));
    return 0;
}

// SQLite waits for the disk at every push; that is not what is looked at here.
$memory = is_writable('/dev/shm') ? '/dev/shm' : temp_dir();
$path = "$memory/ferry-" . getmypid() . '-' . bin2hex(random_bytes(4)) . '.sqlite';
at_the_end(fn () => array_map('unlink', glob("$path*")));

foreach (['redis', 'sqlite'] as $name) {
    foreach (['before', 'after'] as $when) {
        $what = "$name, forked $when first use";
        $answers = temp_dir() . "/$name-$when";
        $redis = null;
        if ($name === 'redis') {
            $server = RedisServer::start();
            $redis = $server->client();
            $redis->set('{queues:bad}', 'no list');
        }
        $file = "$path-$when.sqlite";
        Queue::configure($name === 'redis' ? $server->dsn() : "sqlite:$file");
        if ($when === 'after') {
            Queue::push('Job1', 0, 'first');
            Queue::later(3600, 'Job1', 0, 'first');
            Queue::size('first');
        }
        $refuses = $name === 'redis';
        $children = [];
        foreach (['a', 'b'] as $child) {
            $children[] = fork(function () use ($child, $answers, $refuses) {
                $inner = fork(fn () => push_many("grand$child", $answers, $refuses));
                return push_many("child$child", $answers, $refuses) + reap($inner);
            });
        }
        same("$what: the parent", 0, push_many('parent', $answers, $refuses));
        foreach ($children as $pid) {
            same("$what: a child", 0, reap($pid));
        }
        same("$what: the parent still pushes", true, (bool) Queue::push('Job1', 0, 'last'));

        $stored = [];
        if ($redis !== null) {
            $bodies = array_merge($redis->lRange('{queues:shared}', 0, -1), $redis->zRange('{queues:shared}:delayed', 0, -1));
            foreach ($bodies as $body) {
                $job = json_decode($body);
                $stored[$job->id] = $job->data;
            }
        } else {
            Queue::configure('memory:');
            $bodies = (new PDO("sqlite:$file"))->query("select id, payload from jobs where queue = 'shared'")->fetchAll(PDO::FETCH_KEY_PAIR);
            $stored = array_map(fn ($body) => json_decode($body)->data, $bodies);
        }
        same("$what: as many as were pushed", 5 * EACH, count($bodies));
        same("$what: every id is its own", 5 * EACH, count($stored));
        same("$what: every job is there once", 5 * EACH, count(array_unique($stored)));
        $strangers = [];
        foreach (['parent', 'childa', 'childb', 'granda', 'grandb'] as $who) {
            foreach (json_decode(file_get_contents("$answers-$who")) as $n => $id) {
                if (($stored[$id] ?? null) !== "$who-$n") {
                    $strangers["$who-$n"] = $id;
                }
            }
        }
        same("$what: every answer is the id of its own job", [], array_slice($strangers, 0, 10));
    }
}
done();
?>
--EXPECT--
ok
