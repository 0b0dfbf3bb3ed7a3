--TEST--
Parents, children and grandchildren push at once, before and after first use: every job is stored once, with an id of its own
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

use Ferry\Queue;

const EACH = 150;

/** Pushes, and checks that every answer belongs to its own push: an answer stolen by another process would not. */
function push_many(string $who, string $queue): int
{
    for ($number = 0; $number < EACH; $number++) {
        $answer = $number % 10 === 9 ? Queue::bulk(['Job1', 'Job1'], "$who-$number", $queue) : Queue::push('Job1', "$who-$number", $queue);
        if ($number % 10 !== 9 && !(is_string($answer) && strlen($answer) === 32 || is_int($answer) && $answer > 0)) {
            fwrite(STDERR, "$who got a strange answer: " . json_encode($answer) . "\n");
            return 1;
        }
        if ($number % 25 === 0 && Queue::size($queue) < 1) {
            fwrite(STDERR, "$who got a strange size\n");
            return 1;
        }
    }
    return 0;
}

foreach (brokers() as $name => $config) {
    if ($name === 'memory') {
        continue;
    }
    foreach (['before first use', 'after first use'] as $when) {
        $queue = strtr("$when", ' ', '-');
        if ($name === 'redis') {
            // A server of its own for what is forked before first use, so that nothing is connected yet.
            $server = RedisServer::start();
            $config = $server->config();
        } elseif ($when === 'before first use') {
            $config['path'] .= '-before';
        }
        Queue::configure(['connections' => ['broker' => $config]]);
        $pushed = 0;
        if ($when === 'after first use') {
            push_many('first', $queue);
            $pushed += 1;
        }
        $children = [];
        foreach (['a', 'b'] as $child) {
            $children[] = fork(function () use ($child, $queue) {
                $inner = fork(fn () => push_many("grand$child", $queue));
                return push_many("child$child", $queue) + reap($inner);
            });
        }
        same("$name $when: the parent's pushes", 0, push_many('parent', $queue));
        foreach ($children as $pid) {
            same("$name $when: the children's pushes", 0, reap($pid));
        }
        same("$name $when: the parent can push still", 0, push_many('last', $queue));
        $jobs = (6 + $pushed) * (EACH + EACH / 10);
        same("$name $when: all are stored", $jobs, Queue::size($queue));
        $bodies = Queue::connection()->peek($queue, limit: 10000);
        if ($name === 'redis') {
            preg_match_all('/"id":"(\w{32})"/', implode("\n", $bodies), $ids);
            same("$name $when: every id is its own", $jobs, count(array_unique($ids[1])));
        }
        $data = array_count_values(array_map(fn ($body) => json_decode($body)->data, $bodies));
        same("$name $when: each once, those of bulk twice", [1, 2], [min($data), max($data)]);
        same("$name $when: each", (6 + $pushed) * EACH, count($data));
    }
}

// The memory broker of a child is its own copy of nothing: jobs of the parent are the parent's.
Queue::configure('memory:');
Queue::push('Job1', 'parent');
same('a child', 0, reap(fork(function () {
    $size = Queue::size();
    Queue::push('Job1', 'child');
    return Queue::size() === $size + 1 ? 0 : 1;
})));
same('the parent', 1, Queue::size());
done();
?>
--EXPECT--
ok
