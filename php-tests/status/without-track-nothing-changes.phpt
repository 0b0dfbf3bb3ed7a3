--TEST--
Without track payloads and answers are as before, no status is kept, and progress and result do nothing
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/brokers.php';

class Quiet
{
    public function fire($job, $data)
    {
        $job->progress(50, 'half');
        $job->result(NAN);
        $GLOBALS['id'] = $job->getJobId();
        $job->delete();
    }
}

foreach (brokers() as $name => $config) {
    $connection = use_broker($config);
    $pushed = $connection->push('Quiet', ['a' => 1]);
    $payload = json_decode($connection->peek()[0], true);
    if ($name === 'sqlite') {
        same('a row number', true, is_int($pushed));
        same('no id in a table', '{"job":"Quiet","maxTries":null,"timeout":null,"data":{"a":1}}', $connection->peek()[0]);
    }
    (new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true]))->run();
    same("$name: the job's id", $pushed, $id);
    same("$name: no status", null, $connection->status((string) $pushed));
    same("$name: bulk", $name === 'sqlite' ? 2 : null, $connection->bulk(['Quiet', 'Quiet']));
    if ($name === 'sqlite') {
        $tables = (new PDO("sqlite:$config[path]"))->query("SELECT name FROM sqlite_master WHERE name LIKE 'ferry_%' AND type = 'table'")->fetchAll(PDO::FETCH_COLUMN);
        check('no table of ours for it', !in_array('ferry_status', $tables, true), $tables);
    }
}

// A connection that cannot keep any says so, with what to do.
Ferry\Queue::configure(['connections' => ['a' => ['type' => 'sync', 'track' => true]]]);
holds('no place', '`control`', thrown(fn () => Ferry\Queue::push('Quiet')));
holds('no place', 'Ferry\ConfigException', thrown(fn () => Ferry\Queue::push('Quiet')));
Ferry\Queue::configure(['default' => 'a', 'connections' => ['a' => ['type' => 'sync', 'track' => true, 'control' => 'm'], 'm' => ['type' => 'memory']]]);
$pushed = thrown(fn () => Ferry\Queue::push('Quiet'));
holds('a result that cannot be kept is said', 'the result cannot be kept', $pushed);
done();
?>
--EXPECT--
ok
