--TEST--
The sync connection of v1 and v2 calls failed() with the data, and the push throws
--FILE--
<?php
require __DIR__ . '/../support/families.php';

use Ferry\Queue;

class_alias(app\job\Job1::class, 'Job1');
Queue::configure(['connector' => 'Sync']);
$played = 0;
foreach (old_cases('sync') as $name => $case) {
    $played++;
    $GLOBALS['handler_calls'] = $GLOBALS['failed_calls'] = [];
    $call = fn () => [Queue::class, $case['operation']](...old_arguments($name, $case));
    if (str_ends_with($name, 'missing-class')) {
        holds($name, 'Ferry\HandlerNotFound', thrown($call));
        continue;
    }
    if (isset($case['returns']['$throws'])) {
        same("$name: the exception is the caller's", 'RuntimeException: boom', thrown($call));
    } else {
        same("$name: the answer", $case['returns'], $call());
    }
    same("$name: handler calls", $case['handler_calls'], $GLOBALS['handler_calls']);
    same("$name: calls of failed()", $case['handler_failed_calls'], $GLOBALS['failed_calls']);
}
same('cases', 8, $played);
done();
?>
--EXPECT--
ok
