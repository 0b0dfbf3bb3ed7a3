--TEST--
A job in curl or in a command that never answers ends in time, with and without JIT: its process leaves with 14, or the job knows how to be stopped
--SKIPIF--
<?php require __DIR__ . '/../support/skip.php'; needs('redis-server', 'curl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/../support/redis.php';

use Ferry\Queue;

$handlers = <<<'PHP'
class Stuck
{
    public function fire($job, $data)
    {
        match ($data) {
            'curl' => $this->curl(60_000),
            'shell_exec' => shell_exec('echo $$ >' . getenv('NOTE') . '; exec sleep 60'),
        };
    }

    public function curl(int $milliseconds): void
    {
        $curl = curl_init(getenv('SILENT'));
        curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT_MS => $milliseconds]);
        curl_exec($curl);
        echo 'curl: ', curl_errno($curl) === CURLE_OPERATION_TIMEDOUT ? "its own timeout\n" : curl_error($curl) . "\n";
    }
}

class Polite
{
    public function fire($job, $data)
    {
        match ($data) {
            'loop' => $this->loop(),
            'curl' => (new Stuck())->curl(100),
            'curl_multi' => $this->multi(),
            'proc_open' => $this->command(),
        };
        $job->delete();
    }

    private function loop(): void
    {
        while (true) {
        }
    }

    private function multi(): void
    {
        $multi = curl_multi_init();
        curl_multi_add_handle($multi, curl_init(getenv('SILENT')));
        do {
            curl_multi_exec($multi, $running);
            curl_multi_select($multi, 60);
        } while ($running);
    }

    private function command(): void
    {
        $command = proc_open(['sleep', '60'], [1 => ['pipe', 'w']], $pipes);
        $pid = proc_get_status($command)['pid'];
        file_put_contents(getenv('NOTE'), $pid);
        try {
            $read = [$pipes[1]];
            $none = null;
            // It warns that a signal came: the one that stops the job.
            @stream_select($read, $none, $none, 60);
        } finally {
            proc_terminate($command);
        }
    }
}
if (getenv('JIT')) {
    echo opcache_get_status(false)['jit']['on'] ? "with JIT\n" : "JIT is off\n";
}
$worker = new Ferry\Worker(['tries' => 1, 'timeout' => 0.3, 'grace' => (float) getenv('GRACE'), 'log' => 'none', 'stop_when_empty' => true]);
$worker->on('timeout', function ($job) { echo $job->payload('data'), " stopped\n"; });
exit($worker->run());
PHP;

/** A running process with this id; one that has ended and was not waited for does not count. */
function runs(int $pid): bool
{
    return preg_match('/^State:\s+[^ZX]/m', (string) @file_get_contents("/proc/$pid/status")) === 1;
}

/** The flags of a JIT that compiles early. None where there is no opcache. */
function jit(): array
{
    $settings = ['opcache.enable=1', 'opcache.enable_cli=1', 'opcache.jit=tracing', 'opcache.jit_buffer_size=16M', 'opcache.jit_hot_loop=4'];
    $module = file_exists(ini_get('extension_dir') . '/opcache.so') ? ['zend_extension=opcache'] : [];
    return array_merge(...array_map(fn ($setting) => ['-d', $setting], [...$module, ...$settings]));
}

$server = RedisServer::start();
Queue::configure($server->dsn());
// The kernel accepts for it; it never reads.
$silent = stream_socket_server('tcp://127.0.0.1:0');
$note = temp_dir() . '/note';
$env = ['FERRY_URL' => $server->dsn(), 'SILENT' => 'http://' . stream_socket_get_name($silent, false) . '/', 'NOTE' => $note];
foreach (['' => [], '1' => jit()] as $jit => $flags) {
    $env['JIT'] = (string) $jit;
    $with = $jit ? ' with JIT' : '';

    // PHP cannot get out of these two calls: the process ends.
    foreach (['curl', 'shell_exec'] as $call) {
        Queue::connection()->clear();
        Queue::push('Stuck', $call);
        $start = clock();
        $child = Child::php($handlers, $flags, ['GRACE' => '0.4'] + $env);
        same("$call$with: exit code", 14, $child->wait());
        check("$call$with: in time", clock() - $start < 10, clock() - $start);
        holds("$call$with: it says why", 'a job did not leave', $child->err());
        same("$call$with: settled", ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 1], Queue::stats());
        same("$call$with: the reason", 'timeout', Queue::connection()->failed()[0]['reason']);
        Queue::connection()->forgetFailed('all');
    }
    // docs/worker.md says so: nobody may end a process that a handler started.
    $command = (int) file_get_contents($note);
    check("the command goes on$with", runs($command));
    posix_kill($command, SIGKILL);

    // From these a job can be stopped, and its worker goes on.
    foreach (['loop', 'curl', 'curl_multi', 'proc_open'] as $call) {
        Queue::push('Polite', $call);
    }
    $child = Child::php($handlers, $flags, ['GRACE' => '20'] + $env);
    same("the worker goes on$with", 0, $child->wait());
    same("errors$with", '', $child->err());
    $said = ['loop stopped', 'curl: its own timeout', 'curl_multi stopped', 'proc_open stopped'];
    same("what was stopped$with", implode("\n", [...($jit ? ['with JIT'] : []), ...$said]) . "\n", $child->out());
    check("the command that was told to end$with", !runs((int) file_get_contents($note)));
    same("the jobs$with", ['ready' => 0, 'delayed' => 0, 'reserved' => 0, 'failed' => 3], Queue::stats());
    Queue::connection()->forgetFailed('all');
}
done();
?>
--EXPECT--
ok
