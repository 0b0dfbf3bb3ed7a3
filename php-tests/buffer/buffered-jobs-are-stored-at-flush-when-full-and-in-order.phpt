--TEST--
push_buffer: push and later wait, flush() and a full buffer store them in order, and what looks at a queue or stores at once comes behind them
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'pdo_sqlite'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

/** The data of the ready jobs, without a flush. */
function seen_by_another(array $config, string $queue): array
{
    return array_map(fn ($payload) => json_decode($payload, true)['data'], (new Ferry\Connection(array_diff_key($config, ['push_buffer' => 0]), 'other'))->peek($queue, 'ready', 100));
}

foreach (brokers(['push_buffer' => 5]) as $name => $config) {
    $connection = use_broker($config);
    // Jobs in memory belong to one connection: there only the buffered one sees them.
    $isShared = $name !== 'memory';

    $id = $connection->push('Job1', 0, 'mail');
    same("$name: an id, where it is known before the job is stored", $name === 'sqlite' ? null : 32, is_string($id) ? strlen($id) : $id);
    Ferry\Queue::push('Job1', 1, 'mail');
    $connection->pushOn('other', 'Job1', 'x');
    same("$name: nothing is stored yet", [], $isShared ? seen_by_another($config, 'mail') : []);
    same("$name: flush() counts", 3, Ferry\Queue::flush());
    same("$name: there is nothing left to flush", 0, $connection->flush());
    same("$name: stored in order", $isShared ? [0, 1] : [], seen_by_another($config, 'mail'));
    if ($name !== 'sqlite') {
        same("$name: under the id that push returned", $id, json_decode($connection->peek('mail')[0], true)['id']);
    }

    foreach (range(2, 6) as $data) {
        $connection->push('Job1', $data, 'mail');
    }
    same("$name: five wait", $isShared ? [0, 1] : [], seen_by_another($config, 'mail'));
    $connection->push('Job1', 7, 'mail');
    same("$name: a push to a full buffer stores what was in it", $isShared ? range(0, 6) : [], seen_by_another($config, 'mail'));

    $connection->bulk(['Job1', 'Job1'], 8, 'mail');
    same("$name: a bulk comes behind what was buffered", $isShared ? [0, 1, 2, 3, 4, 5, 6, 7, 8, 8] : [], seen_by_another($config, 'mail'));
    $connection->push('Job1', 9, 'mail');
    $connection->pushRaw('{"job":"Job1","data":10,"id":"' . str_repeat('a', 32) . '","attempts":0}', 'mail');
    same("$name: a raw payload too", 12, count($connection->peek('mail', 'ready', 100)));

    $connection->push('Job1', 'popped', 'pop');
    $job = $connection->pop('pop');
    same("$name: pop() finds what was buffered", '"popped"', json_encode(json_decode($job->getRawBody(), true)['data']));
    $connection->push('Job1', 'follow-up', 'pop');
    $job->delete();
    same("$name: a follow-up is stored before its job is deleted", $isShared ? ['follow-up'] : [], seen_by_another($config, 'pop'));
    $connection->push('Job1', 1, 'pop');
    same("$name: size() counts what was buffered", 2, $connection->size('pop'));
    $connection->push('Job1', 1, 'pop');
    same("$name: clear() removes what was buffered", 3, $connection->clear('pop'));

    // A delay counts from the push.
    $now = early_in_a_second();
    $connection->later(0, 'Job1', 'due now', 'late');
    $connection->later(600, 'Job1', 'later', 'late');
    $connection->laterOn('late', new DateTimeImmutable('@' . ($now + 700)), 'Job1', 'at');
    wait_until(fn () => time() > $now, 'the second is over');
    $connection->flush();
    same("$name: jobs with a delay", 3, $connection->size('late'));
    $stored = match ($name) {
        'redis' => array_map('intval', array_values((function () use ($config) {
            $redis = new Redis();
            $redis->connect($config['host'], $config['port']);
            return $redis->zRange('{queues:late}:delayed', 0, -1, true);
        })())),
        'sqlite' => array_map('intval', (new PDO("sqlite:$config[path]"))->query("SELECT available_time FROM jobs WHERE queue = 'late' ORDER BY available_time")->fetchAll(PDO::FETCH_COLUMN)),
        default => [$now, $now + 600, $now + 700],
    };
    same("$name: are due when the push said", [$now, $now + 600, $now + 700], $stored);
    $connection->clear('late');

    // laterRaw() is never buffered.
    $connection->laterRaw(600, '{"job":"Job1","data":"raw","id":"' . str_repeat('b', 32) . '","attempts":0}', 'raw');
    same("$name: laterRaw", 1, $connection->stats('raw')['delayed']);

    $connection->push('Job1', 1, 'closed');
    $connection->close();
    same("$name: close() stores what was buffered", $isShared ? [1] : [], seen_by_another($config, 'closed'));
    same("$name: and the connection can be used on", 1, $connection->size('closed'));
}

// What cannot be encoded throws in its push and is not buffered.
$connection = use_broker(['type' => 'memory', 'push_buffer' => 5]);
holds('refused at once', 'InvalidArgumentException: ', thrown(fn () => $connection->push('Job1', NAN)));
holds('a queue name too', 'InvalidArgumentException: ', thrown(fn () => $connection->push('Job1', 1, "a\nb")));
same('nothing is buffered', 0, $connection->flush());

// A status would say queued of a job that no broker has; a sync connection runs jobs inside push.
holds('not with track', '`push_buffer` cannot be used with `track`', thrown(fn () => new Ferry\Connection(['type' => 'memory', 'push_buffer' => 1, 'track' => true])));
holds('at most so many', 'push_buffer', thrown(fn () => new Ferry\Connection('memory:?push_buffer=100001')));
final class Told { public static array $data = []; public function fire($job, $data) { self::$data[] = $data; $job->delete(); } }
same('sync', [0, [7]], [(new Ferry\Connection('sync:?push_buffer=9'))->push('Told', 7), Told::$data]);
same('without push_buffer there is nothing to flush', 0, (new Ferry\Connection('memory:'))->flush());
done();
?>
--EXPECT--
ok
