--TEST--
Every recorded case of the sync connection runs its handlers the same way and answers the same
--FILE--
<?php
require __DIR__ . '/../support/vectors.php';

use Ferry\Queue;

class Job1
{
    public function fire($job, $data)
    {
        $GLOBALS['handler_calls'][] = [$job->attempts(), $data];
        if (($data['act'] ?? '') === 'release') {
            $job->release($data['delay']);
        }
    }
}

Queue::configure('sync:');
$cases = cases('sync/');
foreach ($cases as $case) {
    $GLOBALS['handler_calls'] = [];
    $answer = answer_of($case, fn () => [Queue::class, $case['operation']](...arguments($case)));
    same("{$case['name']}: the answer", expected_answer($case), $answer);
    $calls = deviation($case['name'])['handler_calls'] ?? $case['handler_calls'];
    same("{$case['name']}: the handler's calls", $calls, $GLOBALS['handler_calls']);
}
same('cases', 7, count($cases));
done();
?>
--EXPECT--
ok
