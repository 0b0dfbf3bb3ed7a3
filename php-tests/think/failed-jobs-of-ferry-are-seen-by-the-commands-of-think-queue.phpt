--TEST--
queue:failed, queue:retry, queue:forget and queue:flush see the failed jobs of Ferry, each in one store; a retry is atomic and byte-exact
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php

namespace app\job {

    require __DIR__ . '/../support/think.php';

    class Throws
    {
        public function fire(\think\queue\Job $job, $data)
        {
            throw new \DomainException('no route');
        }
    }
}

namespace {

    use app\job\Throws;
    use think\queue\event\JobFailed;

    /** think-queue's own store, as an application may have it. */
    class TheirStore extends think\queue\FailedJob
    {
        public static array $rows = [];

        public function log($connection, $queue, $payload, $exception)
        {
            self::$rows[] = ['id' => count(self::$rows) + 1, 'connection' => $connection, 'queue' => $queue, 'payload' => $payload, 'exception' => (string) $exception, 'fail_time' => '2026-01-31 12:00:00'];
        }

        public function all()
        {
            return array_reverse(self::$rows);
        }

        public function find($id)
        {
            return array_column(self::$rows, null, 'id')[$id] ?? null;
        }

        public function forget($id)
        {
            $found = array_search($id, array_column(self::$rows, 'id'));
            if ($found !== false) {
                array_splice(self::$rows, $found, 1);
            }
            return $found !== false;
        }

        public function flush()
        {
            self::$rows = [];
        }
    }

    $server = RedisServer::start();
    $ferry = ['type' => 'ferry', 'queue' => 'default', 'host' => '127.0.0.1', 'port' => $server->port];
    $app = think_app(['mail' => $ferry, 'other' => ['type' => 'redis'] + $ferry], ['failed' => ['type' => '\\TheirStore']]);
    // The listener that the command queue:work adds.
    $app->event->listen(JobFailed::class, fn ($e) => $app->make('queue.failer')->log($e->connection, $e->job->getQueue(), $e->job->getRawBody(), $e->exception));

    $queue = $app->queue->connection('mail');
    $failer = $app->make('queue.failer');
    $id = $queue->push(Throws::class, ['empty' => new stdClass(), 'big' => 9007199254740993]);
    think_work($app, 'mail', tries: 1);
    same('nothing in their store', [], TheirStore::$rows);
    $rows = $failer->all();
    same('one row of their shape', [['id', 'connection', 'queue', 'payload', 'exception', 'fail_time']], array_map('array_keys', $rows));
    same('it names the job', [$id, 'mail', 'default'], [$rows[0]['id'], $rows[0]['connection'], $rows[0]['queue']]);
    holds('its exception', 'DomainException: no route', $rows[0]['exception']);

    // What a job of another connection leaves behind is still theirs.
    $failer->log('other', 'default', '{"job":"A"}', new LogicException('x'));
    same('both stores are listed', [$id, 1], array_column($failer->all(), 'id'));
    same('theirs is found', 'other', $failer->find(1)['connection']);

    // As the command queue:retry does it.
    $found = $failer->find($id);
    $payload = json_decode($found['payload'], true);
    $payload['attempts'] = 0;
    same('the retry answers the id', $id, $app->queue->connection($found['connection'])->pushRaw(json_encode($payload), $found['queue']));
    check('nothing is left to forget', $failer->forget($id));
    same('moved', ['ready' => 1, 'delayed' => 0, 'reserved' => 0, 'failed' => 0], $queue->stats('default'));
    holds('no byte but the count of attempts changed', '"data":{"empty":{},"big":9007199254740993}', $queue->native()->peek()[0]);

    think_work($app, 'mail', tries: 1);
    check('forget', $failer->forget($id) && !$failer->forget($id));
    same('theirs is left', [1], array_column($failer->all(), 'id'));
    $queue->push(Throws::class, 2, 'second');
    think_work($app, 'mail', 'second', 1);
    same('queues that a worker worked are known', ['second', 'default'], array_column($failer->all(), 'queue'));
    $failer->flush();
    same('flush', [], $failer->all());
    same('an ordinary push is one', true, is_string($queue->pushRaw('{"job":"A","id":"abc","attempts":0}', 'plain')) && $queue->size('plain') === 1);
    done();
}
--EXPECT--
ok
