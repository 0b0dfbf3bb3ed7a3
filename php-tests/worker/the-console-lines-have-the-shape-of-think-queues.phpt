--TEST--
The console lines have the shape of think-queue's, and `log => none` prints none
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Queue;
use Ferry\Worker;

class Job1
{
    public function fire($job, $data)
    {
        $data === 'throw' ? throw new RuntimeException("boom\nsecond line") : $job->delete();
    }
}

date_default_timezone_set('Asia/Shanghai');
Queue::configure('memory:');
Queue::push('Job1', 'delete');
Queue::push('Job1', 'throw');
Queue::push('Nope');
(new Worker(['max_jobs' => 3, 'delay' => 60]))->run();
same('the time zone is PHP\'s', date('H'), (function () {
    Queue::push('Job1', 'delete');
    ob_start();
    (new Worker(['max_jobs' => 1]))->run();
    return substr(ob_get_clean(), 12, 2);
})());
Queue::push('Job1', 'delete');
(new Worker(['max_jobs' => 1, 'log' => 'none']))->run();
done();
?>
--EXPECTREGEX--
\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Processed:  Job1
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Exception:  Job1 \(RuntimeException: boom\)
\[[^]]+\]\[[A-Za-z]{32}\] Released:   Job1 \(again in 60 s\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Nope
\[[^]]+\]\[[A-Za-z]{32}\] Exception:  Nope \(class Nope does not exist; is its autoloader loaded, .+\)
\[[^]]+\]\[[A-Za-z]{32}\] Released:   Nope \(again in 1 s\)
ok
