--TEST--
However a child ends, its parent keeps its links to Redis: they are neither closed nor used by the child, nor replaced
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

/** The links that are not the test's own: id, and how many bytes and commands went over it. */
function links_of(Redis $redis): array
{
    $links = [];
    foreach (explode("\n", trim($redis->rawCommand('CLIENT', 'LIST'))) as $line) {
        parse_str(str_replace(' ', '&', $line), $link);
        if ($link['cmd'] !== 'client' && !str_starts_with($link['cmd'], 'client|')) {
            $links[] = $link['id'];
        }
    }
    sort($links);
    return $links;
}

$server = RedisServer::start();
$redis = $server->client();
Queue::configure($server->dsn());
$kept = Queue::connection();
$started = fn () => (int) $redis->info('stats')['total_connections_received'];
Queue::push('Job1');
Queue::size();
$job = Queue::pop();
$mine = links_of($redis);
same('links of the parent: push, take and settle', 3, count($mine));

// How a child ends => what it does, how many links of its own it opens.
$true = '/bin/true';
$ends = [
    'exits without a word' => [fn () => exit(0), 0],
    'returns' => [fn () => 0, 0],
    'is killed' => [fn () => posix_kill(getmypid(), SIGKILL), 0],
    'becomes another program' => [fn () => pcntl_exec($true), 0],
    'drops what it inherited' => [function () use (&$kept, &$job) { $kept = null; $job = null; gc_collect_cycles(); return 0; }, 0],
    'configures anew' => [function () use ($server) { Queue::configure($server->dsn()); return 0; }, 0],
    'tries to settle' => [function () use (&$job) { return str_contains(thrown(fn () => $job->delete()), 'LostReservation') ? 0 : 1; }, 0],
    'pushes' => [function () { Queue::push('Job1', 1, 'children'); return 0; }, 1],
    'pushes through an object of its parent' => [function () use (&$kept) { $kept->push('Job1', 1, 'children'); return 0; }, 1],
    'pushes and is killed' => [function () { Queue::push('Job1', 1, 'children'); posix_kill(getmypid(), SIGKILL); }, 1],
    'pushes and dies' => [function () { Queue::push('Job1', 1, 'children'); ini_set('display_errors', '0'); ini_set('log_errors', '0'); trigger_error('asked for', E_USER_ERROR); }, 1],
    'pushes and becomes another program' => [function () use ($true) { Queue::push('Job1', 1, 'children'); pcntl_exec($true); }, 1],
    'leaves it to its child' => [fn () => reap(fork(function () { Queue::push('Job1', 1, 'children'); return 0; })), 1],
    'pushes, and so does its child' => [function () { Queue::push('Job1', 1, 'children'); return reap(fork(function () { Queue::push('Job1', 1, 'children'); return 0; })); }, 2],
];
$pushed = 0;
foreach ($ends as $how => [$work, $opens]) {
    for ($round = 0; $round < 5; $round++) {
        $before = $started();
        $code = reap(fork($work));
        check("$how: its code", in_array($code, [0, 128 + SIGKILL, 255], true), $code);
        same("$how: links it opened", $opens, $started() - $before);
        wait_until(fn () => links_of($redis) === $mine, "$how: the links are those of the parent again");
        same("$how: the parent's push", 32, strlen(Queue::push('Job1', $round, 'parent')));
        $pushed += $opens;
    }
}
same('what children pushed', $pushed, Queue::size('children'));
same('what the parent pushed', count($ends) * 5, Queue::size('parent'));
same('its job is its own still', 1, Queue::stats()['reserved']);
$job->delete();
same('and ends', 0, Queue::stats()['reserved']);
same('over the links it had', $mine, links_of($redis));

// Many children at once, each over a link of its own.
$before = $started();
$children = array_map(fn ($n) => fork(function () use ($n) {
    for ($i = 0; $i < 20; $i++) {
        Queue::push('Job1', "$n-$i", 'crowd');
    }
    return 0;
}), range(1, 20));
same('they end well', array_fill(0, 20, 0), array_map('reap', $children));
same('a link each', 20, $started() - $before);
same('jobs', 400, Queue::size('crowd'));
wait_until(fn () => links_of($redis) === $mine, 'the links are those of the parent again');
done();
?>
--EXPECT--
ok
