--TEST--
Every recorded job of a worker of v1 and v2 ends with the same handler calls and the same store
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server'); ?>
--FILE--
<?php
require __DIR__ . '/../support/families.php';

use Ferry\Queue;
use Ferry\Worker;

$server = RedisServer::start();
$redis = $server->client();
Queue::configure(['default' => 'redis', 'connections' => ['redis' => $server->config(['family' => 'think1'])]]);
$played = 0;

foreach (old_cases('redis+worker') as $name => $case) {
    $played++;
    $row = old_deviation($name);
    $shift = early_in_a_second() - RECORDED_AT;
    redis_restore($redis, $case['before'], $shift);
    $GLOBALS['handler_calls'] = $GLOBALS['failed_calls'] = [];
    $arguments = $case['args'];
    $worker = new Worker(['queue' => $arguments['queue'], 'tries' => $arguments['tries'], 'delay' => $arguments['delay'],
        'once' => true, 'sleep' => 0, 'namespace' => 'app', 'log' => 'none']);
    same("$name: exit code", 0, $worker->run());
    if ($case['handler_calls'] !== [] && str_contains(json_encode($case['before']), 'Job1')) {
        same("$name: the handler was made without arguments", 0, $GLOBALS['constructor_arguments']);
    }
    $calls = array_map(fn ($call) => $call === ['handle', 'a'] || ($call[0] ?? '') === 'SendMail' ? ['handle', 'a'] : $call, $case['handler_calls']);
    same("$name: handler calls", json_encode($calls), json_encode($GLOBALS['handler_calls']));
    same("$name: calls of failed() with data only", $case['handler_failed_calls'], $GLOBALS['failed_calls']);
    same_state($name, $row['after'] ?? $case['after'], redis_state($redis), $shift);
    $failed = Queue::connection()->failed(explode(',', $arguments['queue'])[0]);
    $recorded = is_array($case['returns']) && ($case['returns']['failed'] ?? false) ? 'max_attempts' : null;
    same("$name: what is in the failed store", $row['failed'] ?? $recorded, $failed[0]['reason'] ?? null);
}
check('the files hold the cases', $played >= 26, $played);
done();
?>
--EXPECT--
ok
