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
        $data === 'slow' && usleep(1_050_000);
        $data === 'throw' ? throw new RuntimeException("boom\nsecond line") : $job->delete();
    }
}

class Letter
{
    public function handle()
    {
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
// The last line of a job says where it came from and how long it ran; an object job shows its class.
Queue::connection()->clear();
Queue::push('Job1', 'slow', 'mail');
Queue::push('Job1', 'throw', 'mail');
Queue::push(new Letter(), '', 'mail');
(new Worker(['queue' => 'mail', 'max_jobs' => 3, 'tries' => 1]))->run();
Queue::push(new Letter());
(new Worker(['max_jobs' => 1, 'log' => 'json', 'status' => 0]))->run();
done();
?>
--EXPECTREGEX--
\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Processed:  Job1 \(default, \d+ ms\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Exception:  Job1 \(RuntimeException: boom\)
\[[^]]+\]\[[A-Za-z]{32}\] Released:   Job1 \(again in 60 s\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Nope
\[[^]]+\]\[[A-Za-z]{32}\] Exception:  Nope \(class Nope does not exist; is its autoloader loaded, .+\)
\[[^]]+\]\[[A-Za-z]{32}\] Released:   Nope \(again in 1 s\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Processed:  Job1 \(mail, 1\.\d s\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Job1
\[[^]]+\]\[[A-Za-z]{32}\] Failed:     Job1 \(RuntimeException: boom\) \(mail, \d+ ms\)
\[[^]]+\]\[[A-Za-z]{32}\] Processing: Letter
\[[^]]+\]\[[A-Za-z]{32}\] Processed:  Letter \(mail, \d+ ms\)
\{"time":"[^"]+","level":"info","event":"processing","message":"Processing: Letter","pid":\d+,"id":"[A-Za-z]{32}","job":"Letter","queue":"default","connection":"[a-z]+","attempts":1\}
\{"time":"[^"]+","level":"info","event":"processed","message":"Processed: Letter","pid":\d+,"id":"[A-Za-z]{32}","job":"Letter","queue":"default","connection":"[a-z]+","attempts":1,"runtime":[0-9.e-]+\}
ok
